"""Samples that the page shows in three dimensions: atoms, bonds and cell, before and after relaxation."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement, islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from cryingan.report.differences import settings_of
from cryingan.report.runs import Run
from cryingan.samples.folder import RELAXED, SAMPLES
from cryingan.storage.text import in_one_line

log = logging.getLogger(__name__)

MOST_SAMPLES = 20  # of a run
MOST_BYTES = 6_000_000  # of all structures of a page
BYTES_PER_ATOM = 40  # of a sample before and after, with its bonds
IONIC = 1.0  # difference of electronegativities (Pauling) from which on a pair of species counts as ions
LONGEST_BOND = 1.15  # of the sum of covalent radii
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
        "cell": np.round(first.cell.array, 4).tolist(),
        "samples": samples,
    }


def drawing(atoms: Atoms, cutoffs: dict[tuple[str, str], float]) -> dict[str, list[int]] | None:
    """Wrapped positions in 0.01 Angstrom, and bonds; None where a coordinate is not finite.

    Returns:
        `positions` of all atoms one after the other, `bonds` as pairs of atoms, and `crossing` ones through the faces
        of the cell as two atoms and the image of the second one, in cells.
    """
    from ase.neighborlist import neighbor_list

    if not np.isfinite(atoms.positions).all():
        return None
    atoms = atoms.copy()
    atoms.pbc = True
    atoms.wrap()
    first, second, image = neighbor_list("ijS", atoms, cutoffs, self_interaction=False) if cutoffs else ([], [], [])
    bonds, crossing = [], []
    pairs = zip(*(np.asarray(one).tolist() for one in (first, second, image)), strict=True)
    for i, j, cell in pairs:
        if any(cell):
            crossing += [i, j, *cell] if (i, *cell) < (j, *(-part for part in cell)) else []
        elif i < j:
            bonds += [i, j]
    positions = np.rint(atoms.positions * HUNDREDTHS).astype(int).ravel().tolist()
    return {"positions": positions, "bonds": bonds, "crossing": crossing}


def bond_cutoffs(species: Iterable[str]) -> dict[tuple[str, str], float]:
    """The longest bond of every pair of species that has bonds, Angstrom: 1.15 of the sum of covalent radii.

    Where some species differ by at least 1 in electronegativity (Pauling), only such pairs are bonded: metals among
    each other, and anions, are as near in ionic crystals without a bond.

    >>> sorted(bond_cutoffs(["Li", "Cl", "O"]))
    [('Cl', 'Li'), ('Li', 'O')]
    """
    from pymatgen.core import Element

    pairs = list(combinations_with_replacement(sorted(set(species)), 2))
    apart = {pair: abs(Element(pair[0]).X - Element(pair[1]).X) for pair in pairs}
    ionic = [pair for pair in pairs if apart[pair] >= IONIC]
    radius = {symbol: covalent_radii[atomic_numbers[symbol]] for pair in pairs for symbol in pair}
    return {pair: float(LONGEST_BOND * (radius[pair[0]] + radius[pair[1]])) for pair in ionic or pairs}


def looks(species: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour (Jmol's, as in the pictures) and radius of every species, Angstrom; half the covalent radius."""
    from ase.data.colors import jmol_colors

    numbers = {symbol: atomic_numbers[symbol] for symbol in dict.fromkeys(species)}
    return {
        symbol: {
            "color": "#" + "".join(f"{round(255 * part):02x}" for part in jmol_colors[number]),
            "radius": round(0.5 * float(covalent_radii[number]), 3),
        }
        for symbol, number in numbers.items()
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
