"""Describe many structures in several processes; a file keeps what is done, so that a killed evaluation resumes."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.progress import reported
from cryingan.storage.records import RecordFile
from cryingan.structures.lenient import Candidate

SECONDS_ALONE = 3.0  # longer work goes to processes, whose start takes about this long
Arrays = dict[str, np.ndarray]


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
    """Descriptors in a `RecordFile`, with its arguments and errors; `known` is what is in it, by number.

    What a kill tears off its end is computed again, nothing else.
    """

    def __init__(self, path: str | Path, key: Mapping[str, Any], cache: bool = False, replace: bool = False) -> None:
        self.records = RecordFile(path, key, cache, replace)
        self.known = {described.number: described for described in map(_parse, self.records)}

    def append(self, described: Described) -> None:
        """Add one structure."""
        text = {"number": described.number, "composition": described.composition, "reason": described.reason}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, about=json.dumps(text), **described.arrays)
        self.records.append(buffer.getvalue())
        self.known[described.number] = described


def describe_all(
    frames: Iterable[Candidate],
    describe: Callable[[Atoms], Arrays],
    kept: DescriptorFile | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> list[Described]:
    """Return the descriptors of all structures in their order; a failed structure does not affect the others.

    Unexpected errors inside a library are not kept, so that the next call tries again. The first few seconds of work
    run in this process, the rest in worker processes with one thread each.

    Args:
        frames: the structures; those with a reason have failed already and are not described.
        describe: maps one structure to named arrays; must be importable in other processes.
        kept: file to which descriptors are appended; those in it are not computed again.
        processes: number of processes; all processors when None, this process alone when 1.
        progress: report on stderr how many are done and the time left.

    Raises:
        CryinGANError: a worker process died, or `kept` cannot be written.
        MemoryError, OSError: the computer failed, not a structure.
    """
    done = dict(kept.known) if kept else {}
    waiting = []
    for frame in frames:
        if frame.reason:
            done[frame.number] = Described(frame.number, frame.composition, {}, frame.reason)
        elif frame.number not in done:
            waiting.append(frame)
    with closing(_ending(waiting, describe, processes)) as ending:
        total, before = len(done) + len(waiting), len(done)
        for described in reported(ending, total, "describing", "described", before) if progress else ending:
            if kept and described.lasting:
                kept.append(described)
            done[described.number] = described
    return [done[number] for number in sorted(done)]


def _ending(frames: list[Candidate], describe: Callable[[Atoms], Arrays], processes: int | None) -> Iterator[Described]:
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
            "a worker process died, perhaps for lack of memory: use fewer processes (output keeps what is done)"
        ) from error


def _describe(describe: Callable[[Atoms], Arrays], frame: Candidate) -> Described:
    try:
        return Described(frame.number, frame.composition, describe(frame.atoms))
    except CryinGANError as error:
        return Described(frame.number, frame.composition, {}, str(error))
    except (MemoryError, OSError):  # not the structure's fault
        raise
    except Exception as error:  # whatever a library does with a strange structure, the others continue
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Described(frame.number, frame.composition, {}, reason, lasting=False)


def _parse(record: bytes) -> Described:
    with np.load(io.BytesIO(record), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    about = json.loads(str(arrays.pop("about")))
    return Described(about["number"], about["composition"], arrays, about["reason"])
