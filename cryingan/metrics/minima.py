"""How many different minima relaxed structures reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_extents

SAME_DISTANCE = 0.3  # Angstrom, root mean square over atoms
SAME_PLACE = 1.0  # Angstrom; less than a bond, so that two atoms that change places are another minimum in any cell
SAME_ENERGY = 0.02  # in the unit of the energies: J/m^2 of an interface
SAME_ENERGY_PER_ATOM = 0.001  # eV/atom of bulk, which 0.02 J/m^2 of a small interface are, too


@dataclass(frozen=True, eq=False)
class Minima:
    """Relaxed structures by the minimum that they are in.

    Attributes:
        labels: number of the minimum of each structure, shape (structures,).
        sizes: structures in each minimum, shape (minima,).
    """

    labels: np.ndarray
    sizes: np.ndarray

    @property
    def distinct(self) -> int:
        """Number of different minima."""
        return len(self.sizes)

    @property
    def unseen(self) -> float:
        """Probability that one more structure is in a minimum of its own: Good-Turing, the share of singles."""
        return float((self.sizes == 1).sum() / self.sizes.sum()) if len(self.sizes) else float("nan")


def minima(
    distances: np.ndarray, energies: np.ndarray, within: float = SAME_DISTANCE, energy_within: float = SAME_ENERGY
) -> Minima:
    """Group relaxed structures: those near each other in distance *and* energy, and what they connect, are one minimum.

    Args:
        distances: between the structures, Angstrom, shape (structures, structures), as `distances_within` gives them.
        energies: of the structures, shape (structures,); those without an energy (NaN) are each a minimum of their own.
        within: largest distance, Angstrom.
        energy_within: largest difference of energies, in their unit.

    Example:
        >>> apart = np.array([[0.0, 0.1, 2.0], [0.1, 0.0, 2.0], [2.0, 2.0, 0.0]])
        >>> minima(apart, np.array([-0.5, -0.5, -0.4])).distinct
        2
    """
    near = (distances <= within) & (np.abs(energies[:, None] - energies) <= energy_within)
    _, labels = connected_components(near, directed=False)
    return Minima(labels, np.bincount(labels))


def minima_of(
    structures: Crystals, energies: np.ndarray, within: float = SAME_DISTANCE, energy_within: float = SAME_ENERGY
) -> Minima:
    """`minima` by the matched distances of structures, which are computed only where energies are near.

    Structures of which an atom differs by more than 1 Angstrom are in different minima, however many atoms there are:
    two neighbours that change places in a cell of 256 atoms change the distance by 0.2 Angstrom only.

    Args:
        structures: relaxed.
        energies: as in `minima`.
        within: as in `minima`.
        energy_within: as in `minima`.
    """
    distances = np.full((len(structures),) * 2, np.inf)
    np.fill_diagonal(distances, 0)
    for i in range(1, len(structures)):
        near = np.flatnonzero(np.abs(energies[:i] - energies[i]) <= energy_within)
        apart, largest = (extent[0] for extent in matched_extents(structures[i], structures[near]))
        distances[i, near] = distances[near, i] = np.where(largest <= SAME_PLACE, apart, np.inf)
    return minima(distances, energies, within, energy_within)
