"""Relax many structures at fixed cell: in batches, in processes or on a cluster, with results that survive a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential
from cryingan.progress import reported
from cryingan.relaxation.fixed import report_fixed, with_fixed
from cryingan.relaxation.journal import Journal, coordinates_hash
from cryingan.relaxation.one_structure import COLUMNS, FAILED
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.workers import Task, in_processes, relax_here, relax_in_workers
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from cryingan.structures.contacts import Contact, contacts
from cryingan.structures.crystals import Crystals


@dataclass(frozen=True, eq=False)
class RelaxationResults:
    """Results of `relax`, sorted by sample number; all arrays have shape (structures,).

    Attributes:
        samples: sample numbers.
        energy_initial: total energy before, eV; NaN if it was never computed.
        energy_final: total energy after, eV; NaN if it was never finite.
        steps: steps of the optimizer.
        evaluations: evaluations of energy and forces.
        fmax: largest force on a free atom at the end, eV/Angstrom.
        converged: whether `fmax` fell below the target; only these have a relaxed energy.
        reason: `converged`, `max_steps`, `stalled` (cg: the line search found nothing lower), `exploded`, `not_finite`,
            `too_close` or `time`.
        crystals: the structures at the end, with the last coordinates that had finite energy and forces, and the atoms
            that were fixed.
        potential: card of the potential that the energies belong to.

    Example:
        >>> crystals = cryingan.Crystals([[[0, 0, 0], [0.4, 0, 0]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "Cl"])
        >>> results = cryingan.relax(crystals, cryingan.load_potential("pair"), backend="serial", progress=False)
        >>> len(results), results.reason, results.failed
        (1, array(['converged'], dtype='<U...'), array([False]))
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

    @cached_property
    def contacts(self) -> list[list[Contact] | None]:
        """Anions that are too close in each structure at the end, as `cryingan.structures.contacts.contacts` has it."""
        return contacts(self.crystals)

    @property
    def failed(self) -> np.ndarray:
        """Structures that cannot be relaxed, shape (structures,): exploded, not_finite or too_close."""
        return np.isin(self.reason, FAILED)


def relax(
    crystals: Crystals,
    potential: Potential,
    settings: RelaxSettings | None = None,
    *,
    output: str | Path | None = None,
    numbers: Sequence[int] | None = None,
    source: str | None = None,
    **changes: Any,
) -> RelaxationResults:
    """Relax structures at fixed cell, independently of one another.

    In one process structures advance in batches of `potential.atoms_per_batch` atoms, which is what a GPU needs.
    Several processes take one structure at a time, each with one thread and its own copy of the potential.

    Atoms that `crystals.fixed` or the setting `fixed` names keep their places; only the forces on the others count.

    Args:
        crystals: the structures.
        potential: from `load_potential`.
        settings: how to relax, and where; the defaults of `RelaxSettings` when None.
        output: folder for relax.csv (a row per structure), relaxed.extxyz (a frame per structure) and, if the
            settings ask for frames, what `cryingan.relaxation.trajectory.read_trajectories` reads; written as
            structures end. The same call on the same folder resumes with the unfinished structures.
        numbers: sample number of each structure; 0, 1, 2 ... when None.
        source: what the structures are, such as the SHA-256 of their file; a folder of others is refused. When None
            their coordinates decide, whose last digits may depend on the processor.
        changes: fields of `RelaxSettings` that differ from `settings`.

    Returns:
        One entry per structure, sorted by sample number.

    Raises:
        OtherResultsError: the output folder belongs to other structures, another potential or other settings.
        CryinGANError: `fixed` names what the structures do not hold, the backend is not installed or not reachable,
            workers died 3 times with nothing done in between, or another process works in the output folder.

    Example:
        >>> crystals = cryingan.Crystals([[[0, 0, 0], [0.4, 0, 0]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "Cl"])
        >>> results = cryingan.relax(crystals, cryingan.load_potential("pair"), backend="serial", progress=False)
        >>> results.converged, bool(results.energy_final[0] < results.energy_initial[0])
        (array([ True]), True)
    """
    settings = replace(settings or RelaxSettings(), **changes)
    marked = with_fixed(crystals, settings.fixed)
    if output is not None and source is None:
        source = coordinates_hash(crystals)  # without the rule, which is one of the settings
    return relax_marked(marked, potential, settings, output=output, numbers=numbers, source=source)


def relax_marked(
    crystals: Crystals,
    potential: Potential,
    settings: RelaxSettings,
    *,
    output: str | Path | None = None,
    numbers: Sequence[int] | None = None,
    source: str | None = None,
) -> RelaxationResults:
    """As `relax`, for structures whose fixed atoms are marked: the rule `settings.fixed` is not applied to them.

    So a rule of heights can name atoms where they were before structures were repaired or relaxed a first time.
    """
    deadline = np.inf if settings.time_budget is None else time.time() + settings.time_budget
    samples = np.arange(len(crystals)) if numbers is None else np.asarray(numbers, dtype=int)
    if len(samples) != len(crystals) or len(np.unique(samples)) != len(samples):
        raise CryinGANError(f"numbers: {len(crystals)} structures need as many different sample numbers")
    elsewhere = in_processes(potential, settings)
    report_fixed(crystals)

    with _journal(output, crystals, samples, potential.card, settings, source) as journal:
        finished = journal.finished if journal else set()
        waiting = [(int(sample), crystals[i]) for i, sample in enumerate(samples) if sample not in finished]
        task = Task(json.dumps(potential.spec), settings, deadline)
        ending = relax_in_workers(task, waiting) if elsewhere else relax_here(task, waiting, potential)

        with closing(ending):
            before = len(samples) - len(waiting)
            shown = reported(ending, len(samples), "relaxing", "relaxed", before) if settings.progress else ending
            if journal is None:
                ended = sorted(shown)
            else:
                for relaxed in shown:
                    journal.append(relaxed)
                ended = journal.finish()
    columns = {name: np.array([getattr(one, name) for one in ended], dtype=kind) for name, kind in COLUMNS.items()}
    final = _final(crystals[np.argsort(samples)], [one.positions for one in ended])
    return RelaxationResults(samples=columns.pop("sample"), **columns, crystals=final, potential=potential.card)


def _final(start: Crystals, positions: Sequence[np.ndarray]) -> Crystals:
    """Structures at Cartesian positions; fixed atoms keep every digit of their fractional coordinates."""
    fractional = np.array(positions).reshape(start.fractional.shape) @ np.linalg.inv(start.cell)
    if start.fixed is not None:
        fractional = np.where(start.fixed.all(axis=2, keepdims=True), start.fractional, fractional)
    return replace(start, fractional=fractional)


@contextmanager
def _journal(output: str | Path | None, *contents: Any) -> Iterator[Journal | None]:
    """The journal of a folder that is locked meanwhile; a caller may have locked it already."""
    if output is None:
        yield None
        return
    with lock_folder(make_folder(output), patient=True):
        yield Journal(output, *contents)
