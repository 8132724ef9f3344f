"""Relax many structures at fixed cell: in batches, by processes or on a cluster, with results that survive a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential
from cryingan.progress import reported
from cryingan.relaxation.journal import Journal
from cryingan.relaxation.one_structure import FAILED, Relaxed, Settings
from cryingan.relaxation.optimizers import OPTIMIZERS, Fire
from cryingan.relaxation.workers import Task, in_processes, relax_here, relax_in_workers
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import holds_lock, locked
from cryingan.structures.crystals import Crystals


@dataclass(frozen=True, eq=False)
class RelaxationResults:
    """How the relaxations ended, sorted by sample number; all arrays have shape (structures,).

    Attributes:
        samples: sample numbers.
        energy_initial: total energy before, eV; NaN where it was never computed.
        energy_final: total energy after, eV; NaN where it was never finite.
        steps: steps of the optimizer.
        evaluations: evaluations of energy and forces.
        fmax: largest force on an atom at the end, eV/Angstrom.
        converged: whether `fmax` fell below the target; only these have a relaxed energy.
        reason: `converged`, `max_steps`, `stalled` (cg: the line search found nothing lower), `exploded`, `not_finite`,
            `too_close` or `time`.
        crystals: the structures at the end, with the last coordinates that had finite energy and forces.
        potential: card of the potential that the energies belong to.
    """

    samples: np.ndarray
    energy_initial: np.ndarray
    energy_final: np.ndarray
    steps: np.ndarray
    evaluations: np.ndarray
    fmax: np.ndarray
    converged: np.ndarray
    reason: np.ndarray
    crystals: Crystals
    potential: PotentialCard

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def failed(self) -> np.ndarray:
        """Structures that cannot be relaxed, shape (structures,): exploded, not_finite or too_close."""
        return np.isin(self.reason, FAILED)


def relax(
    crystals: Crystals,
    potential: Potential,
    *,
    output: str | Path | None = None,
    numbers: Sequence[int] | None = None,
    backend: str = "loky",
    processes: int | None = None,
    address: str | None = None,
    time_budget: float | None = None,
    progress: bool = True,
    **settings: Any,
) -> RelaxationResults:
    """Relax all structures at fixed cell; what happens to one does not touch another.

    In one process structures advance in batches of `potential.atoms_per_batch` atoms, which is what a GPU needs.
    Several processes take one structure at a time, each with one thread and its own copy of the potential.

    Args:
        crystals: the structures.
        potential: from `load_potential`.
        output: folder for relax.csv (a row per structure) and relaxed.extxyz (a frame per structure), written as
            structures end. The same call on the same folder goes on with the unfinished structures.
        numbers: sample number of each structure; 0, 1, 2 ... when not given.
        backend: `loky` for the processors of this machine, `dask` or `ray` for a cluster, `serial` for this process.
            A potential on a GPU always works in this process.
        processes: how many processes for `loky`; all processors when not given. Clusters use what they have.
        address: of the Dask scheduler or Ray cluster; not needed when this process is connected to it already.
        time_budget: seconds for this call; structures that it leaves unfinished end with reason `time` and are started
            anew by the next call on the same folder.
        progress: report on stderr how many have ended and how long the rest will take.
        **settings: fields of `cryingan.relaxation.one_structure.Settings`: optimizer, fmax, max_steps, min_distance,
            max_force, max_energy, max_displacement, fire, frames (`cryingan.relaxation.trajectory.read_frames` reads
            them from `output`).

    Returns:
        One entry per structure, sorted by sample number.

    Raises:
        CryinGANError: unknown settings, backend not installed or not reachable, workers that died 3 times with nothing
            done in between, or an output folder where another process works or that belongs to another input, potential
            or settings.
    """
    require_time(time_budget)
    deadline = np.inf if time_budget is None else time.time() + time_budget
    settings = _checked(settings)
    samples = np.arange(len(crystals)) if numbers is None else np.asarray(numbers, dtype=int)
    if len(samples) != len(crystals) or len(np.unique(samples)) != len(samples):
        raise CryinGANError(f"numbers: {len(crystals)} structures need as many different sample numbers")
    elsewhere = in_processes(potential, backend, processes)

    with _journal(output, crystals, samples, potential.card, settings) as journal:
        finished = journal.finished if journal else set()
        waiting = [(int(sample), crystals.fractional[i]) for i, sample in enumerate(samples) if sample not in finished]
        task = Task(json.dumps(potential.spec), crystals.cell, crystals.species, settings, deadline)
        if elsewhere:
            ending = relax_in_workers(task, waiting, backend, processes, address)
        else:
            ending = relax_here(task, waiting, potential)

        ended = []
        with closing(ending):
            for relaxed in reported(ending, len(waiting), "relaxing", "relaxed") if progress else ending:
                if journal:
                    journal.append(relaxed)
                else:
                    ended.append(relaxed)
        return _results(journal.finish() if journal else sorted(ended), crystals, potential.card)


@contextmanager
def _journal(output: str | Path | None, *contents: Any) -> Iterator[Journal | None]:
    """The journal of a folder, where no other process works meanwhile; a caller may have locked it already."""
    if output is None:
        yield None
        return
    with locked(make_folder(output), wanted=not holds_lock(output)):
        yield Journal(output, *contents)


def require_time(time_budget: float | None) -> None:
    """Refuse a time budget that is not positive; CryinGANError."""
    if time_budget is not None and not time_budget > 0:
        raise CryinGANError(f"time_budget={time_budget}: it must be positive, in seconds")


def _checked(settings: dict[str, Any]) -> Settings:
    try:
        checked = Settings(**settings)
        Fire(**checked.fire)
    except TypeError as error:
        raise CryinGANError(f"relax: {str(error).replace('.__init__()', '')}") from error
    if checked.optimizer not in OPTIMIZERS:
        raise CryinGANError(f"unknown optimizer {checked.optimizer!r}: use {' or '.join(OPTIMIZERS)}")
    numbers = {int: (int, "whole number"), float: (int | float, "number")}
    for setting in fields(Settings):
        value, (allowed, wanted) = getattr(checked, setting.name), numbers.get(type(setting.default), (object, ""))
        if wanted and (isinstance(value, bool) or not isinstance(value, allowed)):
            raise CryinGANError(f"relax: {setting.name}={value!r} must be a {wanted}")
    if not checked.fmax > 0 or checked.max_steps < 0:
        raise CryinGANError(f"fmax={checked.fmax}, max_steps={checked.max_steps}: they must be positive")
    return checked


def _results(ended: list[Relaxed], crystals: Crystals, card: PotentialCard) -> RelaxationResults:
    columns = {
        "samples": np.array([relaxed.sample for relaxed in ended], dtype=int),
        "reason": np.array([relaxed.reason for relaxed in ended], dtype="U10"),
        "converged": np.array([relaxed.converged for relaxed in ended], dtype=bool),
    }
    for name in ("energy_initial", "energy_final", "fmax"):
        columns[name] = np.array([getattr(relaxed, name) for relaxed in ended], dtype=float)
    for name in ("steps", "evaluations"):
        columns[name] = np.array([getattr(relaxed, name) for relaxed in ended], dtype=int)
    positions = np.array([relaxed.positions for relaxed in ended]).reshape(-1, len(crystals.species), 3)
    final = Crystals(positions @ np.linalg.inv(crystals.cell), crystals.cell, crystals.species)
    return RelaxationResults(**columns, crystals=final, potential=card)
