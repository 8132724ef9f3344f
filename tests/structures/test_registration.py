"""Translations back onto the sites of a set: places that are known, in a triclinic cell, across its faces."""

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.geometry.point_group import point_group
from cryingan.structures.crystals import Crystals
from cryingan.structures.registration import registered

CELL = np.array([[7.0, 0, 0], [1.5, 8.0, 0], [0.5, -1.0, 15.0]])
SPECIES = ("Li", "Cl", "Li", "Li", "O", "Cl", "Li", "Li", "Cl", "Li", "O", "Li")
WIDE = np.array([0.1] * 8 + [1.0] * 4)
RANDOM = np.random.default_rng(0)
SITES = Crystals(RANDOM.random((1, 12, 3)), CELL, SPECIES)


def scattered(count, seed=1, wide=WIDE):
    """Structures about the sites, Cartesian noise of `wide` / sqrt(3) on each axis, mean 0 over the narrow sites."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, 12, 3)) * wide[:, None] / np.sqrt(3)
    noise -= noise[:, :8].mean(axis=1, keepdims=True)
    return SITES.fractional + noise @ np.linalg.inv(CELL)


def exchanged(fractional, seed=2):
    """The atoms of each species in another order in each structure."""
    random, species = np.random.default_rng(seed), np.array(SPECIES)
    orders = np.tile(np.arange(12), (len(fractional), 1))
    for symbol in SITES.counts:
        atoms = np.flatnonzero(species == symbol)
        orders[:, atoms] = random.permuted(np.tile(atoms, (len(fractional), 1)), axis=1)
    return np.take_along_axis(fractional, orders[..., None], axis=1)


def test_structures_come_back_from_anywhere():
    expected = exchanged(scattered(30))
    moved = expected + RANDOM.uniform(-2, 2, (30, 1, 3))
    found = registered(Crystals(moved, CELL, SPECIES), SITES, WIDE)
    apart = found.fractional - expected
    apart = (apart - np.rint(apart)) @ CELL
    assert np.abs(apart).max() < 0.05
    assert np.ptp(apart, axis=1).max() < 1e-9  # a translation, and nothing else
    assert found.species == SPECIES


@pytest.mark.parametrize("axes", [(0, 1), (2,), (0, 2)])
def test_structures_move_along_the_named_axes_alone(axes):
    expected = exchanged(scattered(10))
    expected[:, :, [axis for axis in range(3) if axis not in axes]] += 0.02
    moves = np.zeros((10, 1, 3))
    moves[..., list(axes)] = RANDOM.uniform(-2, 2, (10, 1, len(axes)))
    moved = Crystals(expected + moves, CELL, SPECIES)
    found = registered(moved, SITES, WIDE, axes).fractional - moved.fractional
    others = [axis for axis in range(3) if axis not in axes]
    assert np.abs(found[..., others]).max() < 1e-12
    apart = found + moves
    assert np.abs((apart - np.rint(apart)) @ CELL).max() < 0.2  # what is left along the others pulls a little


def test_a_misplaced_atom_has_little_say():
    expected = scattered(10)
    expected[:, 3] += np.array([0.2, 0.1, 0.1])
    found = registered(Crystals(expected + RANDOM.random((10, 1, 3)), CELL, SPECIES), SITES, WIDE)
    apart = found.fractional - expected
    assert np.abs((apart - np.rint(apart)) @ CELL).max() < 0.05


def test_each_structure_alone():
    many = Crystals(exchanged(scattered(4)) + RANDOM.random((4, 1, 3)), CELL, SPECIES)
    together = registered(many, SITES, WIDE)
    for number in range(4):
        assert registered(many[number], SITES, WIDE).same_as(together[number])


def test_other_atoms_are_refused():
    with pytest.raises(CryinGANError, match="differ in their cell or their composition"):
        registered(Crystals(SITES.fractional, CELL, ("Li",) * 12), SITES, WIDE)


def test_structures_that_are_turned_and_mirrored_come_back():
    """In a tetragonal cell, by any of the 16 operations; without them they do not."""
    sites = Crystals(SITES.fractional, np.diag([8.0, 8.0, 15.0]), SPECIES)
    operations, expected = point_group(sites.cell), scattered(16)
    moved = np.stack([one @ operation for one, operation in zip(expected, operations, strict=True)])
    moved = Crystals(moved + RANDOM.random((16, 1, 3)), sites.cell, SPECIES)
    found = registered(moved, sites, WIDE, operations=operations).fractional - expected
    assert np.abs((found - np.rint(found)) @ sites.cell).max() < 0.1
    left = registered(moved, sites, WIDE).fractional - expected
    assert (np.abs((left - np.rint(left)) @ sites.cell).max(axis=(1, 2)) > 0.5).sum() == 15
