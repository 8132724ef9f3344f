"""Neighbours within a cut-off, against ASE."""

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from cryingan.geometry.neighbors import images_within, neighbors


def test_neighbors_match_ase():
    fractional = np.random.default_rng(0).uniform(-2, 2, (5, 3))
    thin = Atoms("Cu2O3", scaled_positions=fractional, cell=[[3, 0, 0], [1, -4, 0], [0.3, 0.4, 5]], pbc=True)
    thin.wrap()
    source, target, image = neighbors(thin.positions, np.asarray(thin.cell), 5.0)
    ours = np.linalg.norm(thin.positions[target] - thin.positions[source] + image @ thin.cell, axis=1)
    theirs = primitive_neighbor_list("d", [True] * 3, thin.cell, thin.positions, 5.0)
    np.testing.assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-12)
    assert (np.diff(source) >= 0).all()


def test_images_near_points_match_a_plain_loop():
    cell = np.array([[3, 0, 0], [1, -4, 0], [0.3, 0.4, 5]])
    points, positions = (np.random.default_rng(seed).uniform(size=(4, 3)) @ cell for seed in (1, 2))
    point, atom, image, distance = images_within(points, positions, cell, 5.0)
    np.testing.assert_allclose(np.linalg.norm(positions[atom] + image @ cell - points[point], axis=1), distance)
    shifts = np.moveaxis(np.indices((9, 9, 9)) - 4, 0, -1).reshape(-1, 3) @ cell
    expected = np.linalg.norm(positions[:, None] + shifts - points[:, None, None], axis=3).ravel()
    np.testing.assert_allclose(np.sort(distance), np.sort(expected[expected <= 5]), atol=1e-12)
    assert all(len(column) == 0 for column in images_within(points[:0], positions, cell, 5.0))
