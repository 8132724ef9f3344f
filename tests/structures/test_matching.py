"""Distances between structures against all permutations and images; the mean structure against known sites."""

from itertools import permutations, product

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import (
    distances_within,
    matched_distances,
    matched_extents,
    matched_to,
    mean_structure,
)

CELLS = {
    "cubic": np.eye(3) * 5.0,
    "flat": np.diag([2.0, 4.0, 20.0]),
    "skewed": np.array([[4.0, 0, 0], [3.9, 4, 0], [1.0, -1.5, 5]]),
    "left-handed": np.array([[0.3, 6, 0.4], [5, 0.2, 0.1], [0.5, 1.5, 7]]),
}
SPECIES = ("Li", "Cl", "Li", "O", "Cl", "Li", "Cl")


def crystals(number, cell="cubic", species=SPECIES, seed=0):
    return Crystals(np.random.default_rng(seed).random((number, len(species), 3)), CELLS[cell], species)


def by_all_permutations(one, other, cell, species, other_species):
    """Shortest root mean square over every pairing of equal species and every image up to three cells away."""
    images = np.array(list(product(range(-3, 4), repeat=3))) @ cell
    apart = (other[None] - one[:, None]) @ cell
    squared = ((apart[:, :, None] + images) ** 2).sum(axis=-1).min(axis=-1)
    total = 0.0
    for symbol in set(species):
        rows = np.flatnonzero(np.array(species) == symbol)
        columns = np.flatnonzero(np.array(other_species) == symbol)
        total += min(squared[rows, list(order)].sum() for order in permutations(columns))
    return np.sqrt(total / len(species))


@pytest.mark.parametrize("cell", CELLS)
def test_all_permutations_and_images(cell):
    order = np.array([3, 6, 0, 2, 5, 1, 4])
    ones, others = crystals(3, cell), crystals(4, cell, seed=1).reordered(order)
    expected = [
        [by_all_permutations(one, other, CELLS[cell], ones.species, others.species) for other in others.fractional]
        for one in ones.fractional
    ]
    assert matched_distances(ones, others) == pytest.approx(np.array(expected), rel=1e-9)


def test_within_is_across_with_zeros_on_the_diagonal():
    some = crystals(5, "skewed")
    assert distances_within(some) == pytest.approx(matched_distances(some, some), abs=1e-7)
    assert not distances_within(some).diagonal().any()


def test_numbers_and_images_of_atoms_do_not_matter():
    some = crystals(1)
    exchanged = some.fractional[:, [5, 4, 0, 3, 6, 2, 1]] + np.array([1.0, -2.0, 3.0])
    assert matched_distances(some, Crystals(exchanged, some.cell, SPECIES)).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("cell", "species"), [("flat", SPECIES), ("cubic", ("Li", *SPECIES[1:-1], "O"))])
def test_other_cells_and_compositions_are_refused(cell, species):
    with pytest.raises(CryinGANError, match="differ in their cell or their composition"):
        matched_distances(crystals(1), crystals(1, cell, species))


@pytest.mark.parametrize("cell", CELLS)
def test_mean_structure_finds_sites_through_faces_and_exchanged_atoms(cell):
    random = np.random.default_rng(3)
    corners = Crystals(
        [[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]], CELLS[cell], ("Li", "Li", "Cl", "Cl")
    )
    moves = random.normal(scale=0.05, size=(200, 4, 3))
    scattered = corners.fractional + moves @ np.linalg.inv(corners.cell)
    for structure in scattered:  # the species grouped, the atoms of each in any order
        structure[:2], structure[2:] = random.permutation(structure[:2]), random.permutation(structure[2:])
    found = mean_structure(Crystals(scattered, corners.cell, corners.species))
    assert matched_distances(found.sites, corners).item() < 0.02
    assert found.scatter == pytest.approx(np.full(4, 0.05 * np.sqrt(3)), rel=0.15)
    assert found.displacements.mean(axis=0) == pytest.approx(np.zeros((4, 3)), abs=1e-9)
    rebuilt = found.sites.fractional + found.displacements @ np.linalg.inv(found.sites.cell)
    assert found.matched.same_as(Crystals(rebuilt, corners.cell, found.sites.species))


def test_one_disordered_site_among_crystal_sites():
    random = np.random.default_rng(0)
    places = np.array([[0.0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0.2, 0.5, 0.5]])
    scattered = places + random.normal(scale=[[0.02], [0.02], [0.02], [0.12]], size=(100, 4, 3))
    found = mean_structure(Crystals(scattered, 5 * np.eye(3), ("Li", "O", "Cl", "Li")))
    assert np.array(found.sites.species)[found.disordered].tolist() == ["Li"]
    region = found.region(Crystals(scattered[:, ::-1], 5 * np.eye(3), ("Li", "Cl", "O", "Li")))
    assert region.same_as(Crystals(scattered[:, 3:], 5 * np.eye(3), ("Li",)))


def test_order_of_sites():
    sites = crystals(1)
    given = Crystals(sites.fractional[:, ::-1] + 1e-3, sites.cell, SPECIES[::-1])
    assert matched_to(sites, given).same_as(Crystals(sites.fractional + 1e-3, sites.cell, SPECIES))


def test_the_largest_distance_is_that_of_the_pairs_with_the_shortest_distance():
    """Against all pairings of three equal atoms."""
    random, cell = np.random.default_rng(0), np.diag([5.0, 6.0, 7.0])
    ones, others = (Crystals(random.random((4, 3, 3)), cell, ("Li",) * 3) for _ in range(2))
    found = matched_extents(ones, others)[1]
    for i, j in np.ndindex(4, 4):
        apart = ones.fractional[i][:, None] - others.fractional[j]
        squares = (((apart - np.rint(apart)) @ cell) ** 2).sum(-1)
        best = min(permutations(range(3)), key=lambda order: squares[range(3), order].sum())
        assert found[i, j] == pytest.approx(np.sqrt(squares[range(3), best].max()))
