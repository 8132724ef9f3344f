"""Descriptors of many structures: computed by several processes, kept as they end, gone on with after a kill."""

from __future__ import annotations

import io
import json
import logging
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.evaluation_frames import Frame
from cryingan.progress import reported
from cryingan.replace import replace_file

SECONDS_ALONE = 3.0  # what takes longer gets processes, whose start takes about as long
LENGTH = 8  # bytes before each record, which say how long it is
BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, OSError, EOFError)

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
    """

    number: int
    composition: Mapping[str, int]
    arrays: Arrays
    reason: str = ""


class DescriptorFile:
    """A file of descriptors that is appended to: what a kill tears off its end is computed again, nothing else.

    Args:
        path: made when missing.
        key: what the descriptors are of and how they are made, as JSON values.
        cache: start anew where the file holds something else, and go on without it where it cannot be written.

    Attributes:
        known: what is in the file, by number.

    Raises:
        OtherResultsError: the file holds descriptors with another key.
        CryinGANError: the file cannot be written.
    """

    def __init__(self, path: str | Path, key: Mapping[str, Any], cache: bool = False) -> None:
        self.path, self.cache = Path(path), cache
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
                if self.cache:
                    return 0
                other = sorted(name for name in key if found.get(name) != key[name])
                raise OtherResultsError(
                    f"{self.path.parent} holds an evaluation with other {', '.join(other)}: give another output"
                )
            whole = file.tell()
            while (record := _next(file)) is not None:
                try:
                    described = _parse(record)
                except BROKEN:
                    break
                self.known[described.number] = described
                whole = file.tell()
        return whole


def _append(file: BinaryIO, record: bytes) -> None:
    file.write(len(record).to_bytes(LENGTH, "little") + record)


def _next(file: BinaryIO) -> bytes | None:
    """The next record; None at the end, or where it is torn."""
    length = int.from_bytes(file.read(LENGTH), "little")
    left = os.fstat(file.fileno()).st_size - file.tell()
    return file.read(length) if 0 < length <= left else None


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


def describe_all(
    frames: Iterable[Frame],
    describe: Callable[[Any], Arrays],
    kept: DescriptorFile | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> list[Described]:
    """Descriptors of all structures, in their order; one that fails touches no other.

    The first few seconds are spent in this process; what then is left is spread over others, with one thread each.

    Args:
        frames: the structures; those without atoms are passed over with their reason.
        describe: takes one `ase.Atoms` to named arrays; a function that other processes can import.
        kept: where descriptors are kept as they end; those that are there are not computed again.
        processes: how many; all processors when None, this one alone when 1.
        progress: report on stderr how many are done and how long the rest will take.

    Raises:
        CryinGANError: a worker process died, or `kept` cannot be written.
    """
    done = dict(kept.known) if kept else {}
    waiting = []
    for frame in frames:
        if frame.atoms is None:
            done[frame.number] = Described(frame.number, {}, {}, frame.reason)
        elif frame.number not in done:
            waiting.append(frame)
    with closing(_ending(waiting, describe, processes)) as ending:
        for described in reported(ending, len(waiting), "describing", "described") if progress else ending:
            if kept:
                kept.append(described)
            done[described.number] = described
    return [done[number] for number in sorted(done)]


def _ending(frames: list[Frame], describe: Callable[[Any], Arrays], processes: int | None) -> Iterator[Described]:
    """Results in the order in which they end."""
    start, here = time.monotonic(), 0
    while here < len(frames) and (processes == 1 or time.monotonic() - start < SECONDS_ALONE):
        yield _describe(describe, frames[here])
        here += 1
    if here == len(frames):
        return
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(processes or -1, return_as="generator_unordered")
    try:
        yield from parallel(delayed(_describe)(describe, frame) for frame in frames[here:])
    except BrokenProcessPool as error:
        raise CryinGANError(
            "a worker process died, perhaps for lack of memory: use fewer processes (what is done is kept in output)"
        ) from error


def _describe(describe: Callable[[Any], Arrays], frame: Frame) -> Described:
    try:
        return Described(frame.number, frame.composition, describe(frame.atoms))
    except CryinGANError as error:
        return Described(frame.number, frame.composition, {}, str(error))
    except Exception as error:  # whatever a library makes of a strange structure, the others go on
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Described(frame.number, frame.composition, {}, reason)
