"""The translations that bring structures onto the sites of a set, from anywhere in the periodic cell.

Structures that may also stand in another orientation are turned and mirrored first.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import displacements_from, matched_to

WIDTH = 0.5  # Angstrom; atoms count as being at a site up to about this distance in the search
SPACING = 0.6  # Angstrom between the translations that the search tries
STARTS = 4  # of them, those that bring most atoms to sites, are refined
ROUNDS = 8
LEAST_SCATTER = 0.1  # Angstrom; fixed atoms scatter by nothing
IDENTITY = np.eye(3, dtype=int)[None]


def registered(
    structures: Crystals,
    sites: Crystals,
    scatter: np.ndarray,
    axes: tuple[int, ...] = (0, 1, 2),
    operations: np.ndarray = IDENTITY,
) -> Crystals:
    """Translate each structure to where its atoms are nearest to the sites of their species.

    Least is the sum over sites of log(1 + d^2 / s^2), d the displacement of the atom at a site and s the site's
    scatter: disordered sites have little say, and a misplaced atom has no more. The search correlates atoms with sites
    over all translations by Fourier transform; the best ones are refined, atoms and sites paired anew in each round.

    Args:
        structures: of the cell and atom counts of the sites.
        sites: one structure.
        scatter: root mean square displacement at each site, Angstrom, shape (atoms,).
        axes: lattice vectors that structures are translated along; 0, 1, 2 for a, b, c.
        operations: turns and mirrors that are tried first, as `cryingan.geometry.point_group.point_group` gives them.

    Returns:
        The structures in their order of atoms.

    Raises:
        CryinGANError: cells or compositions differ.
    """
    widths = np.maximum(scatter, LEAST_SCATTER)
    search = _Search(sites, widths, axes)
    starts = np.stack([search.starts(one, structures.species, operations) for one in structures.fractional])
    found = (_refined(starts[:, i], structures.species, sites, widths, axes) for i in range(STARTS))
    moved, costs = zip(*found, strict=True)
    best = np.argmin(costs, axis=0)
    return Crystals(np.stack(moved)[best, np.arange(len(structures))], structures.cell, structures.species)


def _refined(
    fractional: np.ndarray, species: tuple[str, ...], sites: Crystals, widths: np.ndarray, axes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (structures, atoms, 3) after the best translations nearby, and their costs (structures,)."""
    inverse = np.linalg.inv(sites.cell)
    if len(axes) < 3:  # the nearest translation along them
        inverse = np.linalg.pinv(sites.cell[list(axes)]) @ np.eye(3)[list(axes)]
    for _ in range(ROUNDS):
        apart = _from_sites(sites, fractional, species)
        weights = 1 / (widths**2 + (apart**2).sum(axis=-1))
        mean = (weights[..., None] * apart).sum(axis=1) / weights.sum(axis=1, keepdims=True)
        fractional = fractional - (mean @ inverse)[:, None]
    squares = (_from_sites(sites, fractional, species) ** 2).sum(axis=-1)
    return fractional, np.log1p(squares / widths**2).sum(axis=1)


def _from_sites(sites: Crystals, fractional: np.ndarray, species: tuple[str, ...]) -> np.ndarray:
    """Displacements from the sites to their atoms, Angstrom, shape (structures, atoms, 3)."""
    return displacements_from(sites, matched_to(sites, Crystals(fractional, sites.cell, species)))


class _Search:
    """The translations that bring most atoms to sites, on a grid of the cell."""

    def __init__(self, sites: Crystals, widths: np.ndarray, axes: tuple[int, ...]) -> None:
        heights = 1 / np.linalg.norm(np.linalg.inv(sites.cell), axis=0)  # between opposite faces
        self.shape = np.maximum(np.ceil(heights / SPACING).astype(int), 4)
        self.waves = [np.fft.fftfreq(size, 1 / size) for size in self.shape]
        lengths = np.stack(np.meshgrid(*self.waves, indexing="ij"), axis=-1) @ np.linalg.inv(sites.cell).T
        self.smoothing = np.exp(-((2 * np.pi * WIDTH) ** 2) * (lengths**2).sum(axis=-1))
        self.searched = tuple(slice(None if axis in axes else 1) for axis in range(3))
        self.of_sites = {}
        for symbol in sites.counts:
            places = np.array(sites.species) == symbol
            self.of_sites[symbol] = _structure_factors(sites.fractional[0, places], self.waves, 1 / widths[places])

    def starts(self, fractional: np.ndarray, species: tuple[str, ...], operations: np.ndarray) -> np.ndarray:
        """One structure where most of its atoms are at sites, the best STARTS ways, shape (STARTS, atoms, 3)."""
        overlaps = np.stack([self._overlap(fractional @ operation, species) for operation in operations])
        peaks = np.where(overlaps == maximum_filter(overlaps, (1, 3, 3, 3), mode="wrap"), overlaps, -np.inf)
        highest = np.argsort(-peaks, axis=None, kind="stable")[:STARTS]
        operation, *translation = np.unravel_index(highest, overlaps.shape)
        return fractional @ operations[operation] + np.stack(translation, axis=-1)[:, None] / self.shape

    def _overlap(self, fractional: np.ndarray, species: tuple[str, ...]) -> np.ndarray:
        """How much of the atoms lies at sites, after all translations of the grid."""
        transform = np.zeros(self.shape, dtype=complex)
        for symbol, of_sites in self.of_sites.items():
            atoms = np.array(species) == symbol
            transform += of_sites * _structure_factors(fractional[atoms], self.waves, np.ones(atoms.sum())).conj()
        return np.fft.ifftn(transform * self.smoothing).real[self.searched]


def _structure_factors(fractional: np.ndarray, waves: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Sums of exp(-2 pi i k x) over atoms, for all waves k on the three axes: one number for each of their triples."""
    phases = [np.exp(-2j * np.pi * fractional[:, axis, None] * waves[axis]) for axis in range(3)]
    return np.einsum("a,ax,ay,az->xyz", weights, *phases, optimize=True)
