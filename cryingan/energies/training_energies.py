"""Energies of the training structures as they are: computed once for each data set and potential, by all processors."""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.progress import reported
from cryingan.relaxation.one_structure import Relaxed
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.workers import Task, in_processes, relax_here, relax_in_workers
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.structures.crystals import Crystals
from cryingan.structures.identity import kind_hash, projections, same_projections

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
SECONDS_BETWEEN_LOOKS = 0.2


def training_energies(
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None = None,
    deadline: float = np.inf,
) -> np.ndarray:
    """Energies of the training structures as they are, computed once for each data set and potential.

    Energies are kept in `cache` as they come, so that a killed call is gone on with by the next one. A second process
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
    path = _place(Path(cache), training, potential.card.hash)
    if path.exists():
        return np.load(path, allow_pickle=False)
    with _unfinished(path.with_suffix(".csv"), deadline) as kept:
        if path.exists():
            return np.load(path, allow_pickle=False)
        energies = _read(kept, len(training))
        waiting = [(int(i), training.fractional[i]) for i in np.flatnonzero(np.isnan(energies))]
        log.info("computing the energies of %d training structures with %s", len(waiting), potential.card.name)
        task = Task(json.dumps(potential.spec), training.cell, training.species, settings, deadline)
        ending = _evaluated(task, waiting, potential)
        with closing(ending):
            for relaxed in (
                reported(ending, len(waiting), "training energies", "energies") if settings.progress else ending
            ):
                kept = _take(relaxed, energies, kept, potential.card.name)
        _require_all(energies, kept)
        per_atom = energies / len(training.species)
        if kept is not None:
            _finish(per_atom, path)
    return per_atom


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


def _take(relaxed: Relaxed, energies: np.ndarray, kept: BinaryIO | None, name: str) -> BinaryIO | None:
    """Put one energy into its place and into the file; the file, or None when it can no longer be written."""
    if relaxed.reason == "not_finite":
        raise CryinGANError(f"training structure {relaxed.sample} has no finite energy with {name}")
    if relaxed.reason == "time":
        return kept
    energies[relaxed.sample] = relaxed.energy_initial
    try:
        if kept is not None:
            kept.write(f"{relaxed.sample},{relaxed.energy_initial!r}\n".encode())
            kept.flush()
    except OSError as error:
        _warn(kept.name, error)
        return None
    return kept


def _require_all(energies: np.ndarray, kept: BinaryIO | None) -> None:
    missing = int(np.isnan(energies).sum())
    if missing:
        then = "the next call goes on with the rest" if kept else "nothing could be kept"
        raise CryinGANError(f"time is up with {missing} of {len(energies)} training energies to compute; {then}")


@contextmanager
def _unfinished(path: Path, deadline: float) -> Iterator[BinaryIO | None]:
    """The file of energies computed so far, for this process alone; None where it cannot be written."""
    try:
        make_folder(path.parent)
        file = path.open("a+b")
    except (OSError, CryinGANError) as error:
        _warn(path, error)
        yield None
        return
    with file:
        _wait_for_lock(file, deadline)
        yield file


def _wait_for_lock(file: BinaryIO, deadline: float) -> None:
    told = False
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.time() >= deadline:
                raise CryinGANError(
                    f"time is up while another process computes training energies ({file.name})"
                ) from None
        except OSError as error:  # a filesystem without locks: at worst an energy is computed twice
            return log.info("%s cannot be locked: %s", file.name, error)
        if not told:
            log.info("waiting for another process that computes the training energies (%s)", file.name)
            told = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _read(kept: BinaryIO | None, count: int) -> np.ndarray:
    """Energies in eV that the file holds, NaN for the others, shape (count,); a torn end is cut off."""
    energies = np.full(count, np.nan)
    if kept is None:
        return energies
    kept.seek(0)
    content = kept.read()
    whole = content.rfind(b"\n") + 1
    kept.truncate(whole)
    for line in content[:whole].splitlines():
        index, energy = line.split(b",")
        energies[int(index)] = float(energy)
    return energies


def _finish(energies: np.ndarray, path: Path) -> None:
    try:
        with replace_file(path) as file:
            np.save(file, energies, allow_pickle=False)
        path.with_suffix(".csv").unlink()
    except (OSError, CryinGANError) as error:
        _warn(path, error)


def _warn(path: str | Path, error: Exception) -> None:
    log.warning("training energies cannot be kept and are computed again next time: %s: %s", path, error)


def _place(cache: Path, training: Crystals, potential: str) -> Path:
    """The file in a cache for these structures and a potential's hash, named after their projections."""
    start, own = f"energies-{kind_hash(training)[:16]}-{potential[:16]}-", projections(training)
    for path in (*cache.glob(f"{start}*.npy"), *cache.glob(f"{start}*.csv")):
        numbers = [float(number) for number in path.stem.removeprefix(start).split("_")]
        if same_projections(numbers, own):
            return path.with_suffix(".npy")
    return cache / f"{start}{'_'.join(f'{number:.9f}' for number in own)}.npy"
