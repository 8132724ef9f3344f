"""Distinct minima of hand-made sets."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cryingan.metrics.minima import minima, minima_of
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import distances_within, matched_distances
from tests.support.shared_sites import interfaces


def on_a_line(*places):
    line = np.array(places)[:, None]
    return cdist(line, line)


@pytest.mark.parametrize(
    ("places", "energies", "sizes", "unseen"),
    [
        ([0, 0.1, 5], [0, 0.01, 0], [2, 1], 1 / 3),
        ([0, 0.1, 5], [0, 0.03, 0], [1, 1, 1], 1),  # near, but of another energy
        ([0, 0.25, 0.5], [0, 0, 0], [3], 0),  # connected through the middle
        ([0, 0.3, 1], [0, 0.02, 0], [2, 1], 1 / 3),  # at both limits
        ([0, 0, 0], [0, np.nan, np.nan], [1, 1, 1], 1),  # without energy nothing is known
        ([4], [1], [1], 1),
    ],
)
def test_hand_made(places, energies, sizes, unseen):
    found = minima(on_a_line(*places), np.array(energies))
    assert found.sizes.tolist() == sizes
    assert found.distinct == len(sizes)
    assert found.unseen == pytest.approx(unseen)


def test_numbers_do_not_depend_on_the_order():
    random = np.random.default_rng(0)
    places, energies = random.uniform(0, 5, 60), random.choice([0.0, 0.5], 60)
    order = random.permutation(60)
    found = minima(on_a_line(*places), energies)
    again = minima(on_a_line(*places[order]), energies[order])
    assert sorted(found.sizes) == sorted(again.sizes)


def test_no_structures():
    found = minima(np.zeros((0, 0)), np.zeros(0))
    assert found.distinct == 0
    assert np.isnan(found.unseen)


def test_minima_of_structures_are_those_of_all_distances():
    structures = interfaces(40, 0)[np.random.default_rng(0).integers(0, 12, 40)]
    energies = np.round(structures.fractional[:, 4, 0], 2)
    found = minima_of(structures, energies, 0.5, 0.02)
    expected = minima(distances_within(structures), energies, 0.5, 0.02)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert 1 < found.distinct <= 12
    assert minima_of(structures[:0], np.zeros(0)).distinct == 0


def test_two_atoms_that_change_places_are_another_minimum_in_any_cell():
    """In 256 atoms they are 0.22 Angstrom from where they were, nearer than what soft modes and relaxation leave."""
    lattice = 2.5 * np.stack(np.meshgrid(*map(np.arange, (4, 4, 16)), indexing="ij"), axis=-1).reshape(-1, 3)
    soft = lattice + np.random.default_rng(0).normal(scale=0.16, size=(256, 3))
    swapped = lattice.copy()
    swapped[[100, 101]] = lattice[[101, 100]]
    cell = np.diag([10.0, 10, 40])
    structures = Crystals(np.stack([lattice, soft, swapped]) @ np.linalg.inv(cell), cell, ("Ni", "Cr") * 128)
    swap, soft = matched_distances(structures[0], structures[[2, 1]])[0]
    assert swap < soft < 0.3
    assert minima_of(structures, np.zeros(3)).labels.tolist() == [0, 0, 1]
