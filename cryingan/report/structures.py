"""Samples that the page shows in three dimensions: atoms, bonds and cell, before and after relaxation."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from cryingan.plots.atoms import atom_looks, bond_cutoffs, bonds
from cryingan.report.differences import settings_of
from cryingan.report.runs import Run
from cryingan.samples.folder import RELAXED, SAMPLES
from cryingan.storage.text import in_one_line

log = logging.getLogger(__name__)

MOST_SAMPLES = 20  # of a run
MOST_BYTES = 6_000_000  # of all structures of a page
BYTES_PER_ATOM = 40  # of a sample before and after, with its bonds
HUNDREDTHS = 100  # positions are written in 0.01 Angstrom


def viewer_sets(runs: Sequence[Run], labels: Sequence[str]) -> list[dict[str, Any]]:
    """The structures of every run that has samples, in plain values; `labels` are the names of the runs."""
    shown = [(run, label) for run, label in zip(runs, labels, strict=True) if newest(run) is not None]
    sets = []
    for run, label in shown:
        try:
            one = viewer_set(run, label, MOST_BYTES // len(shown))
        except Exception as error:  # whatever a damaged file makes ASE say: the other runs are shown
            log.warning("%s is not shown: %s: %s", newest(run), type(error).__name__, in_one_line(error))
        else:
            sets += [one] if one["samples"] else []
    return sets


def newest(run: Run) -> Path | None:
    """The file of the newest samples, relaxed ones where there are any; None without samples."""
    if run.last_relaxed is not None:
        return run.last_relaxed.folder / SAMPLES
    return next(iter(sorted(run.folder.glob("samples/epoch_*.extxyz"), reverse=True)), None)


def viewer_set(run: Run, label: str, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Samples of one run, ordered by energy; of many, some that are evenly spaced in this order.

    Those without an energy stand behind the others. Raw samples have their order in the file.
    """
    path = newest(run)
    table = run.outcomes if run.last_relaxed is not None else {}
    order = sorted(table, key=lambda sample: (math.isnan(table[sample][0]), table[sample][0], sample))
    first = next(iter(_frames(path, [0]).values()))
    most = max(1, min(MOST_SAMPLES, most_bytes // (BYTES_PER_ATOM * len(first))))
    order = order or list(range(_count(path, most)))
    chosen = [order[i] for i in np.unique(np.linspace(0, len(order) - 1, min(most, len(order))).astype(int))]
    if not np.isfinite(first.cell.array).all():
        raise ValueError("its cell is not finite")
    before, after = _frames(path, chosen), _relaxed_frames(path.parent / RELAXED, chosen)
    cutoffs = bond_cutoffs(first.get_chemical_symbols())
    samples = []
    for sample in chosen:
        energy, reason = table.get(sample, (math.nan, ""))
        states = {"before": before.get(sample), "after": after.get(sample)}
        drawn = {name: drawing(atoms, cutoffs) for name, atoms in states.items() if atoms is not None}
        if drawn := {name: one for name, one in drawn.items() if one}:
            value = None if math.isnan(energy) else round(energy, 4)
            samples.append({"sample": sample, "energy": value, "reason": reason, **drawn})
    return {
        "label": label,
        "epoch": run.last_relaxed.epoch if run.last_relaxed else int(path.stem.removeprefix("epoch_")),
        "unit": run.last_relaxed.summary["unit"] if run.last_relaxed else "",
        "total": len(order) if table else None,
        "species": first.get_chemical_symbols(),
        "looks": {symbol: asdict(look) for symbol, look in atom_looks(first.get_chemical_symbols()).items()},
        "cell": np.round(first.cell.array, 4).tolist(),
        "samples": samples,
    }


def drawing(atoms: Atoms, cutoffs: dict[tuple[str, str], float]) -> dict[str, list[int]] | None:
    """Wrapped positions in 0.01 Angstrom, and bonds; None where a coordinate is not finite.

    Returns:
        `positions` of all atoms one after the other, `bonds` as pairs of atoms, and `crossing` ones through the faces
        of the cell as two atoms and the image of the second one, in cells.
    """
    if not np.isfinite(atoms.positions).all():
        return None
    atoms = atoms.copy()
    atoms.pbc = True
    atoms.wrap()
    pairs, images = bonds(atoms, cutoffs)
    crossing = images.any(axis=1)
    return {
        "positions": np.rint(atoms.positions * HUNDREDTHS).astype(int).ravel().tolist(),
        "bonds": pairs[~crossing].ravel().tolist(),
        "crossing": np.column_stack([pairs, images])[crossing].ravel().tolist(),
    }


def run_labels(runs: Sequence[Run]) -> list[str]:
    """Names of runs: their setting, and the seed."""
    labels = {id(run): group.label for group in settings_of(runs) for run in group.runs}
    return [f"{labels[id(run)]}, seed={run.settings.get('seed', '?')}" for run in runs]


def _count(path: Path, most: int) -> int:
    from ase.io import iread

    return sum(1 for _ in islice(iread(path), most))


def _frames(path: Path, chosen: Sequence[int]) -> dict[int, Atoms]:
    """Frames of a file by their place in it."""
    from ase.io import iread

    frames = enumerate(islice(iread(path), max(chosen) + 1))
    return {number: atoms for number, atoms in frames if number in chosen}


def _relaxed_frames(path: Path, chosen: Sequence[int]) -> dict[int, Atoms]:
    """Frames of relaxed.extxyz by the samples that they are of; none where there is no such file."""
    from ase.io import iread

    if not path.exists() or not path.stat().st_size:
        return {}
    return {atoms.info["sample"]: atoms for atoms in iread(path) if atoms.info.get("sample") in chosen}
