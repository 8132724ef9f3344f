"""Structures are the same whatever the last digits of their coordinates, which depend on the processor."""

import numpy as np
import pytest

from cryingan.energies.training_energies import training_energies
from cryingan.potentials.potential import load_potential
from cryingan.samples.folder import holds, store_samples
from cryingan.structures.crystals import Crystals
from cryingan.structures.identity import kind_hash, projections, same_projections, same_structures
from tests.conftest import random_crystals

SPECIES = ("Li", "O", "Cl", "Cl", "O", "Li")
CELL = np.array([[12.0, 0.1, 0], [5.0, 17.0, -0.2], [3.0, -2.0, 40.0]])
EDGES = (0.0, np.nextafter(1, 0), 0.5, 1e-17)


def structures(count: int, seed: int, atoms: int = 6) -> Crystals:
    """Random ones, some coordinates on faces of the cell, some as round as those of files."""
    crystals = random_crystals(count, (SPECIES * atoms)[:atoms], CELL, seed=seed)
    random, fractional = np.random.default_rng(seed), crystals.fractional.copy()
    fractional[:, 0] = random.choice(EDGES, size=fractional[:, 0].shape)
    fractional[:, 1:2] = fractional[:, 1:2].round(6)
    return Crystals(fractional, CELL, crystals.species)


def rounded_elsewhere(crystals: Crystals, seed: int) -> Crystals:
    """Coordinates and cell some units in the last place up or down, as another processor rounds them."""
    random, values = np.random.default_rng(seed), [crystals.fractional, crystals.cell]
    for _ in range(4):
        values = [np.nextafter(value, random.choice([-np.inf, np.inf], size=value.shape)) for value in values]
    return Crystals(*values, crystals.species)


def one_atom_moved(crystals: Crystals, seed: int) -> Crystals:
    """By 1e-4 Angstrom, in any direction."""
    random, positions = np.random.default_rng(seed), crystals.fractional @ crystals.cell
    step = random.normal(size=3)
    at = random.integers(len(crystals)), random.integers(len(crystals.species))
    positions[at] += 1e-4 * step / np.linalg.norm(step)
    return Crystals(positions @ np.linalg.inv(crystals.cell), crystals.cell, crystals.species)


def same(first: Crystals, second: Crystals) -> tuple[bool, bool]:
    by_projections = same_projections(projections(first), projections(second))
    return by_projections and kind_hash(first) == kind_hash(second), same_structures(first, second)


@pytest.mark.parametrize(("count", "atoms", "seeds"), [(1, 1, 300), (3, 6, 300), (40, 264, 5), (2000, 264, 1)])
def test_rounding_changes_nothing_and_a_moved_atom_does(count, atoms, seeds):
    for seed in range(seeds):
        crystals = structures(count, seed, atoms)
        assert same(crystals, rounded_elsewhere(crystals, seed)) == (True, True), seed
        assert same(crystals, one_atom_moved(crystals, seed)) == (False, False), seed


def test_order_species_number_cell_and_missing_coordinates_matter():
    crystals = structures(4, 0)
    nowhere = Crystals(crystals.fractional.copy(), CELL, crystals.species)
    nowhere.fractional[2, 3, 1] = np.nan
    assert same(nowhere, rounded_elsewhere(nowhere, 1)) == (True, True)
    stretched = CELL.copy()
    stretched[2, 2] += 1e-4
    others = [
        *(crystals[[1, 0, 2, 3]], crystals[:3], nowhere, Crystals(crystals.fractional, stretched, crystals.species)),
        Crystals(crystals.fractional[:, [1, 0, 2, 3, 4, 5]], CELL, crystals.species),
        Crystals(crystals.fractional, CELL, ("Na", *crystals.species[1:])),
    ]
    for other in others:
        assert same(crystals, other) == (False, False)
    assert kind_hash(crystals, [0, 1, 2, 3]) != kind_hash(crystals, [0, 1, 2, 4])


def test_training_energies_are_found_on_another_processor(tmp_path):
    potential, crystals = load_potential("pair"), structures(3, 0)
    first = training_energies(crystals, potential, tmp_path)
    for seed in range(20):
        again = training_energies(rounded_elsewhere(crystals, seed), potential, tmp_path)
        np.testing.assert_array_equal(again, first)
    [path] = tmp_path.iterdir()
    path.rename(path.with_suffix(".csv")).write_bytes(b"0,5.0\n1,6.0\n")  # what a killed call has computed
    again = training_energies(rounded_elsewhere(crystals, 1), potential, tmp_path)
    np.testing.assert_allclose(again, [5 / 6, 1.0, first[2]], rtol=1e-9)
    training_energies(one_atom_moved(crystals, 0), potential, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_samples_are_recognised_on_another_processor(tmp_path):
    """Also where a digit of the file or the side of a face differs."""
    crystals = structures(5, 0)
    store_samples(crystals, tmp_path)
    assert holds(crystals, tmp_path)
    differing = [rounded_elsewhere(crystals, seed) for seed in range(20)]
    assert all(holds(other, tmp_path) for other in differing)
    assert not holds(one_atom_moved(crystals, 0), tmp_path)
    assert not holds(crystals[:4], tmp_path)
    (tmp_path / "samples.extxyz").write_text("2\n")
    assert not holds(crystals, tmp_path)
