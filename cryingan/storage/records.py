"""Append-only files of records, of which a kill loses at most the last one."""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.storage.atomic import replace_file

LENGTH, CHECKSUM = 8, 4  # bytes before each record

log = logging.getLogger(__name__)


class RecordFile:
    """A file of records, each with its length and CRC32 before it; the first is a key in JSON.

    Iterating yields the records after the key. Torn or damaged records at the end are removed on opening.

    Args:
        path: the file, which is made when missing.
        key: what the records are of and how they are made, as JSON values.
        cache: replace a file with another key, and do without a file that cannot be written.
        replace: replace a file with another key.

    Attributes:
        writable: whether records are kept.
        ours: whether the file has this key, so that its records may be read.

    Raises:
        OtherResultsError: the file has another key.
        CryinGANError: the file cannot be written.
    """

    def __init__(self, path: str | Path, key: Mapping[str, Any], cache: bool = False, replace: bool = False) -> None:
        self.path, self.cache, self.replace = Path(path), cache, cache or replace
        self.writable, self.ours = True, False
        with self._writing():
            whole = self._whole_bytes(json.loads(json.dumps(key))) if self.path.exists() else 0
            self.ours = whole > 0
            if whole == 0:
                with replace_file(self.path) as file:
                    write_record(file, json.dumps(key).encode())
                self.ours = True
            elif whole < self.path.stat().st_size:
                with self.path.open("r+b") as file:
                    file.truncate(whole)

    def __iter__(self) -> Iterator[bytes]:
        if not self.ours:  # a cache with another key that could not be replaced, or one that cannot be read
            return
        with self._writing(), self.path.open("rb") as file:
            _next(file)
            yield from iter(lambda: _next(file), None)

    def append(self, record: bytes) -> None:
        """Append one record, unless the file is a cache that cannot be written."""
        if self.writable:
            with self._writing(), self.path.open("ab") as file:
                write_record(file, record)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OtherResultsError:
            raise
        except (OSError, CryinGANError) as error:
            own = isinstance(error, CryinGANError)
            reason = str(error) if own else f"{self.path} cannot be written: {error.strerror}"
            if not self.cache:
                raise CryinGANError(reason) from error
            log.warning("%s; it will all be computed again next time", reason)
            self.writable = False

    def _whole_bytes(self, key: dict[str, Any]) -> int:
        """Number of whole bytes in the file; 0 if it is to be replaced."""
        with self.path.open("rb") as file:
            found = _header(file)
            if found != key:
                if self.replace:
                    return 0
                other = ", ".join(sorted(name for name in key if found.get(name) != key[name]))
                raise OtherResultsError(f"{self.path.parent} holds results with other {other}: give another output")
            whole = file.tell()
            while _next(file) is not None:
                whole = file.tell()
        return whole


def write_record(file: BinaryIO, record: bytes) -> None:
    """Write a record at the current position of a file."""
    file.write(len(record).to_bytes(LENGTH, "little") + zlib.crc32(record).to_bytes(CHECKSUM, "little") + record)


def _next(file: BinaryIO) -> bytes | None:
    """The next record; None at the end, or where it is torn or damaged."""
    length, checksum = (int.from_bytes(file.read(size), "little") for size in (LENGTH, CHECKSUM))
    left = os.fstat(file.fileno()).st_size - file.tell()
    record = file.read(length) if 0 < length <= left else b""
    return record if record and zlib.crc32(record) == checksum else None


def _header(file: BinaryIO) -> dict[str, Any]:
    """The key of a file; empty if it has none."""
    try:
        key = json.loads(_next(file) or b"{}")
    except ValueError:
        return {}
    return key if isinstance(key, dict) else {}
