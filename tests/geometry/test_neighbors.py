"""Neighbours within a cut-off, against ASE."""

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from cryingan.geometry.neighbors import neighbors


def test_neighbors_match_ase():
    fractional = np.random.default_rng(0).uniform(-2, 2, (5, 3))
    thin = Atoms("Cu2O3", scaled_positions=fractional, cell=[[3, 0, 0], [1, -4, 0], [0.3, 0.4, 5]], pbc=True)
    thin.wrap()
    source, target, image = neighbors(thin.positions, np.asarray(thin.cell), 5.0)
    ours = np.linalg.norm(thin.positions[target] - thin.positions[source] + image @ thin.cell, axis=1)
    theirs = primitive_neighbor_list("d", [True] * 3, thin.cell, thin.positions, 5.0)
    np.testing.assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-12)
    assert (np.diff(source) >= 0).all()
