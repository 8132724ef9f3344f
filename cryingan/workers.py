"""Where relaxations run: in this process, in processes of this machine, or on a Dask or Ray cluster."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cryingan.crystals import Crystals
from cryingan.errors import CryinGANError
from cryingan.optimizers import OPTIMIZERS
from cryingan.potentials import Potential, load_potential
from cryingan.relaxation import Relaxed, Settings


@dataclass(frozen=True)
class Task:
    """What every relaxation of one call needs besides its coordinates; small, because it travels with each of them.

    Attributes:
        spec: arguments of `load_potential`, as JSON.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        species: chemical symbols.
        settings: how to relax.
        deadline: when to stop, seconds since the epoch.
    """

    spec: str
    cell: np.ndarray
    species: tuple[str, ...]
    settings: Settings
    deadline: float


def in_processes(potential: Potential, backend: str, processes: int | None) -> bool:
    """Whether other processes do the work: a potential on a GPU, and one process alone, do it here.

    Raises:
        CryinGANError: unknown backend.
    """
    if backend not in BACKENDS:
        raise CryinGANError(f"unknown backend {backend!r}: use {', '.join(BACKENDS)}")
    here = backend == "serial" or not str(potential.device).startswith("cpu") or (backend, processes) == ("loky", 1)
    return not here


def relax_here(task: Task, waiting: list[tuple[int, np.ndarray]], potential: Potential) -> Iterator[Relaxed]:
    """Relax in this process, in batches as large as the potential takes.

    Args:
        task: what is common to all.
        waiting: sample number and fractional coordinates (atoms, 3) of each structure.
        potential: evaluates them; `task.spec` is not used.

    Yields:
        Results in the order in which they end.
    """
    structures = [
        (sample, atoms)
        for sample, fractional in waiting
        for atoms in Crystals(fractional[None], task.cell, task.species).to_ase()
    ]
    return OPTIMIZERS[task.settings.optimizer](structures, potential, task.settings, task.deadline)


def relax_in_workers(
    task: Task, waiting: list[tuple[int, np.ndarray]], backend: str, processes: int | None, address: str | None
) -> Iterator[Relaxed]:
    """Relax one structure at a time in each of many processes, with one thread and one copy of the potential each.

    Args:
        task: what is common to all.
        waiting: sample number and fractional coordinates (atoms, 3) of each structure.
        backend: `loky`, `dask` or `ray`.
        processes: how many for `loky`; all processors when None.
        address: of the cluster, when this process is not connected to it.

    Yields:
        Results in the order in which they end.

    Raises:
        CryinGANError: the backend is not installed or not reachable, or a worker died.
    """
    from joblib import Parallel, delayed, parallel_config

    if task.spec == "{}":
        raise CryinGANError(f"backend={backend} needs a potential from load_potential: workers load it again")
    with CONNECT[backend](address) as options:
        with parallel_config(**options):
            parallel = Parallel(processes or -1, return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        try:
            # Coordinates travel inside a tuple: Dask would scatter bare arrays and lose them with their worker.
            yield from parallel(delayed(relax_in_worker)((task, *structure)) for structure in waiting)
        except BrokenProcessPool as error:
            raise CryinGANError(
                "a worker process died, perhaps for lack of memory: use fewer processes (results in output are kept)"
            ) from error


@contextmanager
def _loky(address: str | None) -> Iterator[dict[str, Any]]:
    yield {"backend": "loky", "inner_max_num_threads": 1}


@contextmanager
def _dask(address: str | None) -> Iterator[dict[str, Any]]:
    try:
        from dask.distributed import Client, get_client
    except ImportError as error:
        raise CryinGANError('backend=dask needs Dask: pip install "cryingan[cluster]"') from error
    try:
        connection = Client(address, set_as_default=False) if address else nullcontext(get_client())
    except (ValueError, OSError) as error:
        raise CryinGANError(f"no Dask scheduler at address={address}: {error or 'not reachable'}") from error
    with connection as client:
        yield {"backend": _dask_backend(client)}


def _dask_backend(client: Any) -> Any:
    """Joblib's Dask backend, made to report a task that Dask gave up: joblib 1.6 itself waits for it forever."""
    from joblib._dask import DaskDistributedBackend

    class ReportingBackend(DaskDistributedBackend):
        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, Exception):
                raise BrokenProcessPool(str(out)) from out
            return super().retrieve_result_callback(out)

    return ReportingBackend(client=client)


@contextmanager
def _ray(address: str | None) -> Iterator[dict[str, Any]]:
    try:
        import ray
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError as error:
        raise CryinGANError('backend=ray needs Ray: pip install "ray[default]"') from error
    try:
        if not ray.is_initialized():
            ray.init(address=address)
    except (ConnectionError, ValueError) as error:
        raise CryinGANError(f"no Ray cluster at address={address}: {error}") from error

    class StreamingBackend(RayBackend):
        supports_return_generator = True  # it can, but inherits from a backend of joblib that must not

    yield {"backend": StreamingBackend()}


CONNECT = {"loky": _loky, "dask": _dask, "ray": _ray}
BACKENDS = ("serial", *CONNECT)


_ONE_AT_A_TIME = threading.Lock()  # a worker may have several threads; calculators and models are not made for that


def relax_in_worker(work: tuple[Task, int, np.ndarray]) -> Relaxed:
    """Relax one structure in a worker process: a task, the sample number and fractional coordinates (atoms, 3)."""
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
