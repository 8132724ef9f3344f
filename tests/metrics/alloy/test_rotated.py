"""Clusters without numbered sites, against plain loops and the same crystal in other cells."""

import ase
import numpy as np
import pytest
from ase.build import make_supercell
from scipy.spatial.transform import Rotation

from cryingan.metrics.alloy.fcc import SPECIES, fcc_sites
from cryingan.metrics.alloy.lattice import FccLattice
from cryingan.metrics.alloy.mapping import map_to_lattice
from cryingan.metrics.alloy.neighbors import ideal_vectors, second_shell, surroundings
from cryingan.metrics.alloy.rotated import fitted_axes
from tests.support.alloys import (
    EXACT,
    alloy_atoms,
    ase_counts,
    loop_counts,
    random_occupations,
    rattled,
    turned_lattice,
)

SHEARS = ([[1, 0, 0], [1, 1, 0], [0, 0, 1]], [[1, 0, 1], [1, 1, 0], [0, 0, 1]], [[1, 0, 0], [-1, 1, 0], [1, 1, 1]])


def sheared(shear, seed=0):
    """The same crystal in another cell."""
    atoms = alloy_atoms(random_occupations(1, seed=seed)[0])
    return make_supercell(atoms, shear), ase_counts(atoms)


@pytest.mark.parametrize("shear", SHEARS)
@pytest.mark.parametrize("mapping", ["auto", "cdvae"])
def test_other_cell_of_the_same_crystal_has_the_same_clusters(shear, mapping):
    for seed in range(2):
        atoms, expected = sheared(shear, seed)
        strain = 1.02 * np.eye(3) + np.random.default_rng(seed).normal(0, 0.01, (3, 3))
        turn = Rotation.random(random_state=seed).as_matrix()
        for change in (np.eye(3), turn, turn @ strain):
            changed = rattled(atoms, 0.1, seed)
            changed.set_cell(atoms.cell.array @ change, scale_atoms=True)
            mapped = map_to_lattice(changed, mapping=mapping)
            assert (mapped.mapping, mapped.vacancies, mapped.dropped, mapped.reason) == ("cdvae", 0, 0, "")
            assert mapped.occupation is None
            np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)


@pytest.mark.parametrize("missing", [1, 10, 40])
def test_vacancies_interstitials_and_doubles_without_sites(missing):
    atoms, _ = sheared(SHEARS[1])
    del atoms[np.random.default_rng(missing).choice(256, missing, replace=False).tolist()]
    expected = ase_counts(atoms)
    for offset in ([1.8, 0, 0], [0.9, 0.9, 0.9], [0.2, 0.5, 0.2]):
        atoms.append(ase.Atom("Ni", atoms.positions[100] + offset))
    mapped = map_to_lattice(rattled(atoms, 0.05))
    assert (mapped.mapping, mapped.vacancies, mapped.dropped, mapped.reason) == ("cdvae", missing, 3, "")
    np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)


def test_coincidence_lattice_in_a_cubic_cell():
    edges = np.array([[4, 4, 2], [4, -2, -4], [-2, 4, -4]]) * 1.8  # each 10.8 Angstrom, at right angles
    fractional = (fcc_sites(12, 0.0) - 0.5) * 43.2 @ np.linalg.inv(edges)
    fractional = fractional[((fractional > -1e-9) & (fractional < 1 - 1e-9)).all(axis=1)]
    symbols = np.array(SPECIES)[np.random.default_rng(0).integers(0, 3, 108)]
    atoms = ase.Atoms(symbols, scaled_positions=fractional, cell=10.8 * np.eye(3), pbc=True)
    mapped = map_to_lattice(rattled(atoms), FccLattice(repeats=3))
    assert (mapped.mapping, mapped.vacancies, mapped.dropped, mapped.reason) == ("cdvae", 0, 0, "")
    np.testing.assert_allclose(mapped.counts, ase_counts(atoms), atol=EXACT)


@pytest.mark.parametrize("degrees", [8, 20, 45])
def test_lattice_that_does_not_repeat_with_the_cell(degrees):
    atoms, rotation = turned_lattice(degrees)
    noisy = rattled(atoms, 0.05)
    axes = fitted_axes(second_shell(noisy.positions, noisy.cell.array, 3.6)[1], 3.6)
    # A cube axis of the fit is one of the lattice's or its negative.
    overlap = axes @ rotation.T / 3.6
    np.testing.assert_allclose(np.abs(overlap).max(axis=1), 1, atol=5e-3)
    np.testing.assert_allclose(np.sort(np.abs(overlap), axis=1)[:, :2], 0, atol=1e-2)
    mapped = map_to_lattice(noisy)
    assert (mapped.mapping, mapped.reason) == ("cdvae", "")
    assert mapped.dropped <= 2
    assert mapped.vacancies > 0
    if mapped.dropped == 0:
        # Across a boundary some atoms are about as far from a point as the margin.
        np.testing.assert_allclose(mapped.counts, loop_counts(noisy, 3.6 * rotation)[0], atol=0.1)


def test_counts_without_sites_agree_with_plain_loops():
    kinds = random_occupations(1, seed=3)[0]
    kinds[::40] = -1
    atoms = rattled(alloy_atoms(kinds), 0.15)
    axes = 3.6 * Rotation.from_rotvec([0.03, -0.02, 0.04]).as_matrix() @ np.diag([1, 1.01, 1])
    for decimals in (None, 3):
        counts, vacancies = surroundings(atoms, ideal_vectors(axes), decimals)
        expected, empty = loop_counts(atoms, axes, decimals)
        np.testing.assert_allclose(counts, expected, atol=EXACT)
        assert (vacancies > 0) == empty


def test_order_images_translation_and_rotation_change_nothing():
    atoms = rattled(turned_lattice(20)[0], 0.05)
    first = map_to_lattice(atoms)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        other = atoms[rng.permutation(len(atoms))]
        other.positions += rng.integers(-1, 2, other.positions.shape) @ other.cell.array + rng.uniform(0, 14.4, 3)
        other.set_cell(other.cell.array @ Rotation.random(random_state=seed).as_matrix(), scale_atoms=True)
        mapped = map_to_lattice(other)
        assert (mapped.vacancies, mapped.dropped) == (first.vacancies, first.dropped)
        np.testing.assert_allclose(mapped.counts, first.counts, atol=EXACT)


def test_disorder_is_rejected():
    rng = np.random.default_rng(0)
    base = alloy_atoms(random_occupations(1)[0])
    for sigma in (0.9, 1.5, 8.0):
        assert "fcc lattice" in map_to_lattice(rattled(base, sigma), mapping="cdvae").reason
    crowded = base.copy()
    crowded.positions = rng.uniform(0, 0.5, (256, 3))
    sparse = ase.Atoms("Fe3", positions=[[0, 0, 0], [5, 5, 5], [9, 1, 6]], cell=14.4 * np.eye(3), pbc=True)
    for atoms in (crowded, sparse):
        mapped = map_to_lattice(atoms, mapping="cdvae")
        assert mapped.reason
        assert mapped.vacancies > 50
    grains = base.copy()
    half = grains.positions[:, 0] < 7.2
    grains.positions[half] = grains.positions[half] @ Rotation.from_rotvec([0.7, 0, 0]).as_matrix()
    assert map_to_lattice(grains).reason
