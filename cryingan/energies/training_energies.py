"""Energies of the training structures as they are: computed once for each data set and potential, by all processors."""

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

AS_THEY_ARE = {
    "optimizer": "fire",
    "max_steps": 0,
    "min_distance": 0.0,
    "max_force": np.inf,
    "max_energy": np.inf,
    "frames": 0,
}
SECONDS_ALONE = 10.0  # starting processes takes about as long


def training_energies(
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None = None,
    deadline: float = np.inf,
) -> np.ndarray:
    """Energies of the training structures as they are, computed once for each data set and potential.

    Energies are kept in `cache` as they are computed, so that the call after a killed one resumes. A second process
    waits for the first. Where `cache` cannot be written there is a warning and nothing is kept.

    Args:
        training: structures.
        potential: what gives the energies.
        cache: folder for the file that keeps them.
        settings: where the work is done after 10 s in this process, and whether progress is reported on stderr; the
            defaults of `RelaxSettings` when None. How structures relax does not matter.
        deadline: when to stop, seconds since the epoch.

    Returns:
        eV/atom, shape (structures,).

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or time is up.
    """
    settings = replace(settings or RelaxSettings(), **AS_THEY_ARE)
    key = {
        "structures": arrays_hash(training.cell, training.fractional, np.array(training.species)),
        "potential": potential.card.hash,
    }
    path = Path(cache) / f"energies-{key['structures'][:16]}-{key['potential'][:16]}.records"
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
                for relaxed in shown:
                    _keep(relaxed, energies, kept, potential.card.name)
        _require_all(energies, kept)
    return energies / len(training.species)


def _evaluated(
    task: Task,
    waiting: list[tuple[int, np.ndarray]],
    potential: Potential,
) -> Iterator[Relaxed]:
    """Relaxations without a step: in this process at first, and when they take long by many processes."""
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


def _keep(relaxed: Relaxed, energies: np.ndarray, kept: RecordFile, name: str) -> None:
    """Put one energy into its place and into the file."""
    if relaxed.reason == "not_finite":
        raise CryinGANError(f"training structure {relaxed.sample} has no finite energy with {name}")
    if relaxed.reason != "time":
        energies[relaxed.sample] = relaxed.energy_initial
        kept.append(json.dumps([relaxed.sample, relaxed.energy_initial]).encode())


def _require_all(energies: np.ndarray, kept: RecordFile) -> None:
    missing = int(np.isnan(energies).sum())
    if missing:
        then = "the next call computes the rest" if kept.writable else "nothing could be kept"
        raise CryinGANError(f"time is up with {missing} of {len(energies)} training energies to compute; {then}")
