"""Distances between whole structures whose atoms of a species are exchangeable, and the sites they scatter about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.geometry.assignment import assignment, squared_distances
from cryingan.geometry.neighbors import NearestImage
from cryingan.structures.crystals import Crystals

ROUNDS = 3
DISORDERED = 0.5  # Angstrom; a site of a crystal scatters by 0.1 to 0.4 over relaxed interfaces
SHARED = 0.6  # Angstrom; half of the sites of an interface scatter by less, those of an alloy or a glass by more


@dataclass(frozen=True, eq=False)
class MeanStructure:
    """The sites about which the atoms of a set scatter, and the structures in their order.

    Attributes:
        sites: one structure, the mean of all after matching.
        matched: the structures, atom i at site i, in the species order of `sites`.
        displacements: from the sites to the atoms, shortest images, Angstrom, shape (structures, atoms, 3).
    """

    sites: Crystals
    matched: Crystals
    displacements: np.ndarray

    @property
    def scatter(self) -> np.ndarray:
        """Root mean square displacement of every site, Angstrom, shape (atoms,)."""
        return np.sqrt((self.displacements**2).sum(axis=-1).mean(axis=0))

    @property
    def typical_scatter(self) -> float:
        """Median of the scatter over sites, Angstrom."""
        return float(np.median(self.scatter))

    @property
    def shared(self) -> bool:
        """Whether structures share most of their sites, as those of an interface do; those of an alloy do not."""
        return self.typical_scatter <= SHARED

    @property
    def disordered(self) -> np.ndarray:
        """Sites that scatter by more than 0.5 Angstrom, bool, shape (atoms,): the disordered region of an interface."""
        return self.scatter > DISORDERED

    def region(self, structures: Crystals) -> Crystals:
        """The atoms of structures that belong to disordered sites, in their order; the cell stays whole.

        Args:
            structures: of the cell and atom counts of the sites.

        Raises:
            CryinGANError: cells or compositions differ.
        """
        atoms, species = matched_to(self.sites, structures), np.array(self.sites.species)
        return Crystals(atoms.fractional[:, self.disordered], atoms.cell, tuple(species[self.disordered].tolist()))


def matched_distances(ones: Crystals, others: Crystals) -> np.ndarray:
    """Distances between structures, their atoms paired within each species so that the distance is the shortest.

    The root mean square over the atoms of the distances between the nearest images of paired atoms. Pairs are found by
    the Hungarian algorithm, so structures that number equal atoms differently have distance zero.

    Args:
        ones: structures.
        others: structures of the same cell and atom counts.

    Returns:
        Angstrom, shape (ones, others).

    Raises:
        CryinGANError: cells or compositions differ.

    Example:
        >>> swapped = Crystals([[[0.0, 0, 0], [0.5, 0, 0]], [[0.5, 0, 0], [0.9, 0, 0]]], 10 * np.eye(3), ("Li", "Li"))
        >>> matched_distances(swapped[0], swapped).round(3)
        array([[0.   , 0.707]])
    """
    _check_comparable(ones, others)
    squared = np.zeros((len(ones), len(others)))
    for one, other in zip(_blocks(ones), _blocks(others), strict=True):
        costs = ([assignment(cost)[1] for cost in row] for row in squared_distances(one, other, ones.cell))
        squared += np.reshape(list(costs), squared.shape)
    return np.sqrt(squared / len(ones.species))


def matched_extents(ones: Crystals, others: Crystals) -> tuple[np.ndarray, np.ndarray]:
    """`matched_distances` of structures, and the largest distance between two atoms that it pairs, both of its shape.

    One atom in another place changes the first by little in a large cell, the second by as much as it moved. Takes
    half as long again where there are few atoms.

    Example:
        >>> swapped = Crystals([[[0.0, 0, 0], [0.5, 0, 0]], [[0.5, 0, 0], [0.9, 0, 0]]], 10 * np.eye(3), ("Li", "Li"))
        >>> [round(float(extent[0, 1]), 3) for extent in matched_extents(swapped[0], swapped)]
        [0.707, 1.0]
    """
    _check_comparable(ones, others)
    squared, largest = np.zeros((2, len(ones), len(others)))
    for one, other in zip(_blocks(ones), _blocks(others), strict=True):
        for i, costs in enumerate(squared_distances(one, other, ones.cell)):
            for j, cost in enumerate(costs):
                columns, total = assignment(cost)
                squared[i, j] += total
                largest[i, j] = max(largest[i, j], cost[np.arange(len(cost)), columns].max())
    return np.sqrt(squared / len(ones.species)), np.sqrt(largest)


def distances_within(structures: Crystals) -> np.ndarray:
    """`matched_distances` of structures to each other, each pair once: Angstrom, shape (structures, structures)."""
    distances = np.zeros((len(structures), len(structures)))
    for i in range(1, len(structures)):
        distances[i, :i] = matched_distances(structures[i], structures[:i])
    return distances + distances.T


def mean_structure(structures: Crystals) -> MeanStructure:
    """Match structures to their own mean, which begins as the first of them, in three rounds.

    Args:
        structures: at least one.
    """
    structures = structures.reordered(structures.grouping)
    sites = structures[0]
    for _ in range(ROUNDS):
        matched = matched_to(sites, structures)
        displacements = displacements_from(sites, matched)
        shift = displacements.mean(axis=0)
        sites = Crystals(sites.fractional + shift @ np.linalg.inv(sites.cell), sites.cell, sites.species)
    return MeanStructure(sites, matched, displacements - shift)


def displacements_from(sites: Crystals, matched: Crystals) -> np.ndarray:
    """The shortest vectors from sites to the atoms of structures in their order, Angstrom, (structures, atoms, 3)."""
    apart = (matched.fractional - sites.fractional) @ sites.cell
    return NearestImage(sites.cell)(apart.reshape(-1, 3)).reshape(apart.shape)


def matched_to(sites: Crystals, structures: Crystals) -> Crystals:
    """Structures with their atoms in the order of the sites that they belong to.

    Args:
        sites: one structure.
        structures: structures of the same cell and atom counts.

    Raises:
        CryinGANError: cells or compositions differ.
    """
    order = site_order(sites, structures)
    return Crystals(np.take_along_axis(structures.fractional, order[..., None], axis=1), sites.cell, sites.species)


def site_order(sites: Crystals, structures: Crystals) -> np.ndarray:
    """The atom at each site of one structure, for structures as in `matched_to`: indices (structures, atoms)."""
    _check_comparable(sites, structures)
    order = np.empty(structures.fractional.shape[:2], dtype=int)
    places = [np.flatnonzero(np.array(sites.species) == symbol) for symbol in sites.counts]
    atoms = [np.flatnonzero(np.array(structures.species) == symbol) for symbol in sites.counts]
    for place, atom in zip(places, atoms, strict=True):
        costs = next(squared_distances(sites.fractional[:, place], structures.fractional[:, atom], sites.cell))
        for structure, cost in enumerate(costs):
            order[structure, place] = atom[assignment(cost)[0]]
    return order


def _blocks(structures: Crystals) -> list[np.ndarray]:
    """Fractional coordinates of the atoms of each species, in alphabetical order of the symbols."""
    species = np.array(structures.species)
    return [structures.fractional[:, species == symbol] for symbol in sorted(structures.counts)]


def _check_comparable(ones: Crystals, others: Crystals) -> None:
    if sorted(ones.species) != sorted(others.species) or not np.allclose(ones.cell, others.cell, atol=1e-3):
        raise CryinGANError("structures are compared that differ in their cell or their composition")
