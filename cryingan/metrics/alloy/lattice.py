"""The alloy benchmark's fcc lattice, its place in a structure, and the result of mapping a structure on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy.fcc import LATTICE_CONSTANT, MARGIN, VACANCY, cluster_counts

MOST_STRAIN = 0.1
"""Relative difference of lengths, and of angles in units of 100 degrees, up to which a cell counts as the lattice's."""
REFINEMENTS = 5
DECIMALS = 9


@dataclass(frozen=True)
class FccLattice:
    """An fcc lattice of repeats x repeats x repeats conventional cells with edges of `constant`, Angstrom.

    `origin` is where the reference has one of its sites, in conventional cells; only the mapping as is depends on it.
    """

    repeats: int = 4
    constant: float = LATTICE_CONSTANT
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, atoms: Atoms) -> FccLattice:
        """The lattice that a reference structure fills, its values rounded so that equal lattices compare equal.

        Raises:
            CryinGANError: the structure does not fill the lattice of a cubic cell.
        """
        repeats = max(1, round((len(atoms) / 4) ** (1 / 3)))
        constant = round(float(atoms.cell.volume) ** (1 / 3) / repeats, DECIMALS)
        lattice = cls(repeats, constant)
        if len(atoms) != lattice.size or not constant or lattice.misfit(atoms):
            raise CryinGANError(
                f"a reference of {len(atoms)} atoms in a cell {np.round(atoms.cell.cellpar(), 3).tolist()} does not "
                "fill an fcc lattice of n x n x n conventional cells; it must be cubic with 4 n^3 atoms"
            )
        return cls(repeats, constant, _standard(fitted_origin(atoms.get_scaled_positions(), lattice)))

    @property
    def size(self) -> int:
        """Number of sites."""
        return 4 * self.repeats**3

    @property
    def cell(self) -> np.ndarray:
        """Lattice vectors of the whole cell in rows, Angstrom, shape (3, 3)."""
        return self.repeats * self.constant * np.eye(3)

    @property
    def most_vacancies(self) -> int:
        """Vacant sites beyond which a structure is rejected: 50 of 256."""
        return 50 * self.size // 256

    def misfit(self, atoms: Atoms) -> str:
        """Why the cell of a structure is not this lattice's; empty if it is, up to a strain of 10 %."""
        edge = self.repeats * self.constant
        target = np.array([edge, edge, edge, 90, 90, 90])
        strain = np.abs(atoms.cell.cellpar() - target) / np.where(target == 90, 100, target)
        if (strain <= MOST_STRAIN).all():
            return ""
        return f"cell {np.round(atoms.cell.cellpar(), 2).tolist()} is not cubic with an edge near {edge:.2f} Angstrom"


@dataclass(frozen=True, eq=False)
class Mapping:
    """A structure on the lattice.

    Attributes:
        mapping: the procedure that was used, one of `cryingan.metrics.alloy.mapping.MAPPINGS`; `auto` where none was.
        occupation: index into `SPECIES` or `VACANCY` for every site, int8, shape (sites,), in the order of `fcc_sites`;
            None where the rotated lattice does not repeat with the cell, so that sites have no numbers.
        counts: clusters per atom on the lattice as `cluster_counts` gives them, shape (45,); NaN without atoms.
        vacancies: sites without an atom; where `occupation` is None an estimate, reliable in being zero or not.
        dropped: atoms on no site.
        reason: why the structure is rejected; empty if it is not.
    """

    mapping: str
    occupation: np.ndarray | None
    counts: np.ndarray
    vacancies: int
    dropped: int
    reason: str = ""

    @classmethod
    def of(cls, mapping: str, occupation: np.ndarray, atoms: int, most_vacancies: int) -> Mapping:
        """Of a structure of so many atoms, by the occupation of all sites, shape (sites,)."""
        vacancies = int((occupation == VACANCY).sum())
        filled = len(occupation) - vacancies
        reason = ""
        if filled == 0:
            reason = f"no atom is within {MARGIN} Angstrom of a site of the lattice"
        elif vacancies > most_vacancies:
            reason = f"{vacancies} of {len(occupation)} sites are vacant, more than {most_vacancies}"
        return cls(mapping, occupation, cluster_counts(occupation[None])[0], vacancies, atoms - filled, reason)

    @classmethod
    def rejected(cls, mapping: str, lattice: FccLattice, atoms: int, reason: str) -> Mapping:
        """Of a structure that cannot be placed on the lattice at all."""
        empty = np.full(lattice.size, VACANCY, dtype=np.int8)
        return cls(mapping, empty, cluster_counts(empty[None])[0], lattice.size, atoms, reason)


def fitted_origin(fractional: np.ndarray, lattice: FccLattice) -> np.ndarray:
    """The site nearest to the lattice's origin, in conventional cells, (3,), where all atoms (atoms, 3) fit best.

    Every axis gives the circular mean of the atoms' places between planes half a lattice constant apart, the majority
    decides which half of those points are sites, and means over the atoms within the margin of a site refine it.
    """
    points = 2 * (fractional * lattice.repeats - lattice.origin)
    shift = np.angle(np.exp(2j * np.pi * points).mean(axis=0)) / (2 * np.pi)
    if (np.rint(points - shift).sum(axis=1) % 2).mean() > 0.5:
        shift[0] += 1
    for _ in range(REFINEMENTS):
        off = points - shift - nearest_fcc(points - shift)
        near = np.linalg.norm(off, axis=1) * lattice.constant / 2 <= MARGIN
        if near.any():
            shift += off[near].mean(axis=0)
    shift -= nearest_fcc(shift[None])[0]
    return np.array(lattice.origin) + shift / 2


def nearest_fcc(points: np.ndarray) -> np.ndarray:
    """Nearest integer points with an even sum, the fcc lattice in half lattice constants, shape (points, 3)."""
    nearest = np.rint(points)
    odd = np.flatnonzero(nearest.sum(axis=1) % 2)
    off = points[odd] - nearest[odd]
    axis = np.abs(off).argmax(axis=1)
    nearest[odd, axis] += np.where(off[np.arange(len(odd)), axis] < 0, -1, 1)
    return nearest


def _standard(origin: np.ndarray) -> tuple[float, float, float]:
    """The site equivalent to an origin with y and z from -1/8 to 3/8, where usual origins are far from the ends."""
    x, y, z = 2 * origin
    odd = np.floor(y + 0.25) + np.floor(z + 0.25)
    site = np.array([(x - odd + 0.25) % 2, (y + 0.25) % 1, (z + 0.25) % 1]) - 0.25
    return tuple((np.round(site / 2, DECIMALS) + 0.0).tolist())
