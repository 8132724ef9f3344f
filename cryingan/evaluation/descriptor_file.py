"""A file that keeps descriptors of structures as they end, so that a killed evaluation goes on."""

from __future__ import annotations

import io
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.storage.atomic import replace_file

LENGTH, CHECKSUM = 8, 4  # bytes before each record

Arrays = dict[str, np.ndarray]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Described:
    """What is kept of one structure.

    Attributes:
        number: its place in the file, from 1.
        composition: atoms per species, sorted by symbol.
        arrays: its descriptors; none where it failed.
        reason: why it failed; empty otherwise.
        lasting: whether another attempt would give the same; what may not is not kept.
    """

    number: int
    composition: Mapping[str, int]
    arrays: Arrays
    reason: str = ""
    lasting: bool = True


class DescriptorFile:
    """A file of descriptors that is appended to: what a kill tears off its end is computed again, nothing else.

    Args:
        path: made when missing.
        key: what the descriptors are of and how they are made, as JSON values.
        cache: start anew where the file holds something else, and go on without it where it cannot be written.
        replace: only start anew.

    Attributes:
        known: what is in the file, by number.

    Raises:
        OtherResultsError: the file holds descriptors with another key.
        CryinGANError: the file cannot be written.
    """

    def __init__(self, path: str | Path, key: Mapping[str, Any], cache: bool = False, replace: bool = False) -> None:
        self.path, self.cache, self.replace = Path(path), cache, cache or replace
        self.known: dict[int, Described] = {}
        self.writable = True
        with self._writing():
            whole = self._read(json.loads(json.dumps(key))) if self.path.exists() else 0
            if whole == 0:
                with replace_file(self.path) as file:
                    _append(file, json.dumps(key).encode())
            elif whole < self.path.stat().st_size:
                with self.path.open("r+b") as file:
                    file.truncate(whole)

    def append(self, described: Described) -> None:
        """Add one structure."""
        text = {"number": described.number, "composition": described.composition, "reason": described.reason}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, about=json.dumps(text), **described.arrays)
        if self.writable:
            with self._writing(), self.path.open("ab") as file:
                _append(file, buffer.getvalue())
        self.known[described.number] = described

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, CryinGANError) as error:
            if isinstance(error, OtherResultsError):
                raise
            reason = (
                str(error) if isinstance(error, CryinGANError) else f"{self.path} cannot be written: {error.strerror}"
            )
            if not self.cache:
                raise CryinGANError(reason) from error
            log.warning("%s; it will all be computed again next time", reason)
            self.writable = False

    def _read(self, key: dict[str, Any]) -> int:
        """Read what is whole; the number of bytes that are comes back, 0 to start anew."""
        with self.path.open("rb") as file:
            found = _header(file)
            if found != key:
                if self.replace:
                    return 0
                other = sorted(name for name in key if found.get(name) != key[name])
                raise OtherResultsError(
                    f"{self.path.parent} holds an evaluation with other {', '.join(other)}: give another output"
                )
            whole = file.tell()
            while (record := _next(file)) is not None:
                described = _parse(record)
                self.known[described.number] = described
                whole = file.tell()
        return whole


def _append(file: BinaryIO, record: bytes) -> None:
    file.write(len(record).to_bytes(LENGTH, "little") + zlib.crc32(record).to_bytes(CHECKSUM, "little") + record)


def _next(file: BinaryIO) -> bytes | None:
    """The next record; None at the end, or where it is torn or damaged."""
    length, checksum = (int.from_bytes(file.read(size), "little") for size in (LENGTH, CHECKSUM))
    left = os.fstat(file.fileno()).st_size - file.tell()
    record = file.read(length) if 0 < length <= left else b""
    return record if record and zlib.crc32(record) == checksum else None


def _header(file: BinaryIO) -> dict[str, Any]:
    """The first record; empty where the file is none of ours."""
    try:
        header = json.loads(_next(file) or b"{}")
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _parse(record: bytes) -> Described:
    with np.load(io.BytesIO(record), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    about = json.loads(str(arrays.pop("about")))
    return Described(about["number"], about["composition"], arrays, about["reason"])
