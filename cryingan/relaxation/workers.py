"""Where relaxations run: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.backends import CONNECT
from cryingan.relaxation.one_structure import Relaxed
from cryingan.relaxation.optimizers import OPTIMIZERS
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

DEATHS = 3  # workers that may die without a result in between


@dataclass(frozen=True)
class Task:
    """What the relaxations of one call share; it is sent to a worker with each structure.

    Attributes:
        spec: arguments of `load_potential`, as JSON.
        settings: how to relax.
        deadline: when to stop, seconds since the epoch.
    """

    spec: str
    settings: RelaxSettings
    deadline: float


def in_processes(potential: Potential, settings: RelaxSettings) -> bool:
    """Whether other processes relax; a single process and a potential on a GPU work here."""
    alone = settings.backend == "serial" or (settings.backend, settings.processes) == ("loky", 1)
    return not alone and str(potential.device).startswith("cpu")


def relax_here(task: Task, waiting: list[tuple[int, Crystals]], potential: Potential) -> Iterator[Relaxed]:
    """Relax in this process.

    Args:
        task: what all structures share, but for its `spec`.
        waiting: sample number and structure, with its fixed atoms.
        potential: evaluates them, in batches as large as it takes.

    Yields:
        Results in the order in which they end.
    """
    structures = [(sample, atoms) for sample, crystal in waiting for atoms in crystal.to_ase()]
    return OPTIMIZERS[task.settings.optimizer](structures, potential, task.settings, task.deadline)


def relax_in_workers(task: Task, waiting: list[tuple[int, Crystals]]) -> Iterator[Relaxed]:
    """Relax in many processes, each with one structure at a time, one thread and its own copy of the potential.

    Args:
        task: what all structures share.
        waiting: sample number and structure, with its fixed atoms.

    Yields:
        Results in the order in which they end.

    Raises:
        CryinGANError: the backend is not installed or not reachable, or workers died 3 times with nothing done.
    """
    if json.loads(task.spec) is None:
        raise CryinGANError(
            f"backend={task.settings.backend} needs a potential from load_potential: workers load it again"
        )
    deaths, left = 0, dict(waiting)
    while left:
        begun: list[int] = []
        try:
            with closing(_relax_until_death(task, left, begun)) as ending:
                for relaxed in ending:
                    deaths = 0
                    del left[relaxed.sample]
                    yield relaxed
        except BrokenProcessPool as error:
            deaths += 1
            if deaths == DEATHS:
                raise CryinGANError(
                    f"a worker process died, {DEATHS} times with nothing done in between, perhaps for lack of memory: "
                    "use fewer processes (results in output are kept)"
                ) from error
            log.warning("a worker process died, perhaps for lack of memory; continuing with %d structures", len(left))
            # Structures that may have killed it come last, the earliest begun at the very end: they stop few others.
            left.update({sample: left.pop(sample) for sample in reversed(begun) if sample in left})


def _relax_until_death(task: Task, left: dict[int, Crystals], begun: list[int]) -> Iterator[Relaxed]:
    """Relax until a worker dies; samples are added to `begun` as they are handed to workers."""
    from joblib import Parallel, delayed, parallel_config

    def works() -> Iterator[Any]:
        for sample, crystal in list(left.items()):
            begun.append(sample)
            # Coordinates travel inside a tuple: Dask would scatter bare arrays and lose them with their worker.
            yield delayed(relax_in_worker)((task, sample, crystal))

    where = task.settings
    # A cluster may grow, so it gets all structures; workers of this machine have one in hand and one queued.
    how = {"batch_size": 1, "pre_dispatch": "2*n_jobs" if where.backend == "loky" else "all"}
    with CONNECT[where.backend](where.address) as options:
        with parallel_config(**options):
            parallel = Parallel(where.processes or -1, return_as="generator_unordered", **how)
        yield from parallel(works())


_ONE_AT_A_TIME = threading.Lock()  # Dask's workers have several threads; calculators and models allow one


def relax_in_worker(work: tuple[Task, int, Crystals]) -> Relaxed:
    """Relax one structure in a worker.

    Args:
        work: a task, the sample number and the structure.
    """
    task, *structure = work
    with _ONE_AT_A_TIME:
        [relaxed] = relax_here(task, [structure], _potential_of_this_worker(task.spec))
    return relaxed


@lru_cache(maxsize=1)
def _potential_of_this_worker(spec: str) -> Potential:
    potential = load_potential(**json.loads(spec))
    if "torch" in sys.modules:  # not every potential needs it, and importing it takes seconds
        sys.modules["torch"].set_num_threads(1)
    return potential
