"""Energies and forces of the training structures as they are, computed once for each data set and potential."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.progress import reported
from cryingan.relaxation.one_structure import Relaxed
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.workers import Task, in_processes, relax_here, relax_in_workers
from cryingan.storage.hashes import arrays_hash
from cryingan.storage.locks import lock_cache
from cryingan.storage.records import RecordFile
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

NO_BOUNDS = {"min_distance": 0.0, "max_force": np.inf, "max_energy": np.inf}
AS_THEY_ARE = {"optimizer": "fire", "max_steps": 0, "frames": 0, **NO_BOUNDS}
SECONDS_ALONE = 10.0  # starting processes takes about as long


def training_energies(
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None = None,
    deadline: float = np.inf,
) -> np.ndarray:
    """Energies of the training structures as they are: the first part of `training_forces`, whose arguments it takes.

    Returns:
        eV/atom, shape (structures,).

    Raises:
        CryinGANError: as `training_forces`.
    """
    return _measured(training, potential, cache, settings, deadline)[:, 0] / len(training.species)


def training_forces(
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None = None,
    deadline: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Energies and largest forces of the training structures as they are, computed once for each set and potential.

    Results are kept as they are computed, so a call after a kill resumes. A second process waits for the first.
    Where `cache` cannot be written there is a warning and nothing is kept.

    Args:
        training: structures.
        potential: what gives the energies.
        cache: folder for the file that keeps them.
        settings: where structures are evaluated that are left after 10 s in this process, and whether progress is
            reported; the defaults of `RelaxSettings` when None. What it says of relaxing does not matter.
        deadline: when to stop, seconds since the epoch.

    Returns:
        Energies in eV/atom, and the largest force on a free atom in eV/Angstrom, both of shape (structures,).

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or time is up.
    """
    found = _measured(training, potential, cache, settings, deadline, forces=True)
    return found[:, 0] / len(training.species), found[:, 1]


def structures_hash(structures: Crystals) -> str:
    """SHA-256 of cell, coordinates, species and fixed atoms; rounded, as last digits depend on the processor."""
    marks = () if structures.fixed is None else (structures.fixed,)
    rounded = np.round(structures.fractional, 6) % 1.0
    return arrays_hash(np.round(structures.cell, 6), rounded, np.array(structures.species), *marks)


def _measured(
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None,
    deadline: float,
    forces: bool = False,
) -> np.ndarray:
    """Total energy, eV, and largest force, eV/Angstrom, of each structure, shape (structures, 2).

    The forces are NaN where the file is from version 0.1.0, which kept energies only, unless `forces` are needed.
    """
    settings = replace(settings or RelaxSettings(), **AS_THEY_ARE)
    structures = structures_hash(training)
    key = {"structures": structures, "potential": potential.card.hash}
    path = Path(cache) / f"energies-{structures[:16]}-{potential.card.hash[:16]}.records"
    with lock_cache(path, f"computes training energies ({path})", deadline):
        kept, found = RecordFile(path, key, cache=True), np.full((len(training), 2), np.nan)
        for index, *values in map(json.loads, kept):
            found[index, : len(values)] = values
        missing = np.isnan(found if forces else found[:, :1]).any(axis=1)
        waiting = [(int(i), training[i]) for i in np.flatnonzero(missing)]
        if waiting:
            log.info("computing the energies of %d training structures with %s", len(waiting), potential.card.name)
            task = Task(json.dumps(potential.spec), settings, deadline)
            with closing(_evaluated(task, waiting, potential)) as ending:
                if settings.progress:
                    before = len(training) - len(waiting)
                    ending = reported(ending, len(training), "training energies", "energies", before)
                for index, *values in ending:
                    found[index], missing[index] = values, False
                    kept.append(json.dumps([index, *values]).encode())
    if missing.any():
        then = "the next call computes the rest" if kept.writable else "nothing could be kept"
        raise CryinGANError(f"time is up with {missing.sum()} of {len(found)} training energies to compute; {then}")
    return found


def _evaluated(
    task: Task, waiting: list[tuple[int, Crystals]], potential: Potential
) -> Iterator[tuple[int, float, float]]:
    """Number, energy (eV) and largest force (eV/Angstrom) of each structure that is evaluated before the deadline."""
    with closing(_relaxed(task, waiting, potential)) as ending:
        for relaxed in ending:
            if relaxed.reason == "not_finite":
                raise CryinGANError(
                    f"training structure {relaxed.sample} has no finite energy with {potential.card.name}"
                )
            if relaxed.reason != "time":
                yield relaxed.sample, relaxed.energy_initial, relaxed.fmax


def _relaxed(task: Task, waiting: list[tuple[int, Crystals]], potential: Potential) -> Iterator[Relaxed]:
    """Relaxations without a step: in this process at first, and when they take long in many processes."""
    left, start = dict(waiting), time.monotonic()
    elsewhere = in_processes(potential, task.settings) and bool(potential.spec)
    with closing(relax_here(task, waiting, potential)) as here:
        for relaxed in here:
            del left[relaxed.sample]
            yield relaxed
            if elsewhere and time.monotonic() - start > SECONDS_ALONE:
                break
    if left:
        yield from relax_in_workers(task, list(left.items()))
