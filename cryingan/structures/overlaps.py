"""Atoms of a training set that are closer than any that are bonded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cryingan.geometry.neighbors import neighbors
from cryingan.structures.crystals import Crystals

SHARE = 0.5  # of the sum of two covalent radii; the strongest bonds, of N2 and CO, are as long as 0.77 of it


class Overlap(NamedTuple):
    """The two atoms of a structure that overlap most.

    Attributes:
        structure: its number, from 0.
        atoms: their numbers, from 0, in the order of the file.
        distance: between them, Angstrom.
        limit: `SHARE` of the sum of their covalent radii (B. Cordero et al., Dalton Trans. 2008, 2832), Angstrom.
    """

    structure: int
    atoms: tuple[int, int]
    distance: float
    limit: float


def overlaps(crystals: Crystals) -> list[Overlap]:
    """For each structure with two atoms closer than half the sum of their covalent radii the pair that is closest.

    Closest in units of this sum, over all periodic images.

    Example:
        >>> crystals = cryingan.Crystals([[[0, 0, 0], [0.1, 0, 0]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "O"])
        >>> [(one.atoms, round(one.distance, 2), round(one.limit, 2)) for one in overlaps(crystals)]
        [((0, 1), 0.8, 0.97)]
    """
    from ase.data import atomic_numbers, covalent_radii

    radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in crystals.species])
    reach = 2 * SHARE * float(radii.max())
    found = []
    for number, fractional in enumerate(crystals.fractional):
        positions = fractional @ crystals.cell
        source, target, image = neighbors(positions, crystals.cell, reach)
        if not len(source):
            continue
        lengths = np.linalg.norm(positions[target] + image @ crystals.cell - positions[source], axis=1)
        limits = SHARE * (radii[source] + radii[target])
        worst = int((lengths / limits).argmin())
        if lengths[worst] < limits[worst]:
            atoms = sorted((int(source[worst]), int(target[worst])))
            found.append(Overlap(number, tuple(atoms), float(lengths[worst]), float(limits[worst])))
    return found
