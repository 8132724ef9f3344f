"""Energies of the unrelaxed training structures, computed once for each data set and potential."""

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
    """Energies of the training structures as they are, computed once for each data set and potential.

    Energies are kept as they are computed, so a call after a kill resumes. A second process waits for the first.
    Where `cache` cannot be written there is a warning and nothing is kept.

    Args:
        training: structures.
        potential: what gives the energies.
        cache: folder for the file that keeps them.
        settings: where structures are evaluated that are left after 10 s in this process, and whether progress is
            reported; the defaults of `RelaxSettings` when None. What it says of relaxing does not matter.
        deadline: when to stop, seconds since the epoch.

    Returns:
        eV/atom, shape (structures,).

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or time is up.
    """
    settings = replace(settings or RelaxSettings(), **AS_THEY_ARE)
    rounded = np.round(training.fractional, 6) % 1.0  # the last digits depend on the processor
    structures = arrays_hash(np.round(training.cell, 6), rounded, np.array(training.species))
    key = {"structures": structures, "potential": potential.card.hash}
    path = Path(cache) / f"energies-{structures[:16]}-{potential.card.hash[:16]}.records"
    with lock_cache(path, f"computes training energies ({path})", deadline):
        kept, energies = RecordFile(path, key, cache=True), np.full(len(training), np.nan)
        for index, energy in map(json.loads, kept):
            energies[index] = energy
        waiting = [(int(i), training.fractional[i]) for i in np.flatnonzero(np.isnan(energies))]
        if waiting:
            log.info("computing the energies of %d training structures with %s", len(waiting), potential.card.name)
            task = Task(json.dumps(potential.spec), training.cell, training.species, settings, deadline)
            with closing(_evaluated(task, waiting, potential)) as ending:
                shown = reported(ending, len(waiting), "training energies", "energies") if settings.progress else ending
                for index, energy in shown:
                    energies[index] = energy
                    kept.append(json.dumps([index, energy]).encode())
    if missing := int(np.isnan(energies).sum()):
        then = "the next call computes the rest" if kept.writable else "nothing could be kept"
        raise CryinGANError(f"time is up with {missing} of {len(energies)} training energies to compute; {then}")
    return energies / len(training.species)


def _evaluated(task: Task, waiting: list[tuple[int, np.ndarray]], potential: Potential) -> Iterator[tuple[int, float]]:
    """Number and energy, eV, of each structure that is evaluated before the deadline."""
    with closing(_relaxed(task, waiting, potential)) as ending:
        for relaxed in ending:
            if relaxed.reason == "not_finite":
                raise CryinGANError(
                    f"training structure {relaxed.sample} has no finite energy with {potential.card.name}"
                )
            if relaxed.reason != "time":
                yield relaxed.sample, relaxed.energy_initial


def _relaxed(task: Task, waiting: list[tuple[int, np.ndarray]], potential: Potential) -> Iterator[Relaxed]:
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
