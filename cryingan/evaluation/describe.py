"""Describe many structures in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError
from cryingan.evaluation.descriptor_file import Arrays, Described, DescriptorFile
from cryingan.progress import reported
from cryingan.structures.lenient import Candidate

if TYPE_CHECKING:
    from ase import Atoms

SECONDS_ALONE = 3.0  # longer work goes to processes, whose start takes about this long


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
        describe: maps one `ase.Atoms` to named arrays; must be importable in other processes.
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
        for described in reported(ending, len(waiting), "describing", "described") if progress else ending:
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
