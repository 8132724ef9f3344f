"""Point groups of lattices: their orders, that they are groups and keep distances."""

import numpy as np
import pytest

from cryingan.geometry.point_group import point_group

HEXAGONAL = np.array([[3.0, 0, 0], [-1.5, 1.5 * np.sqrt(3), 0], [0, 0, 5.0]])
LATTICES = [
    ("cubic", 4 * np.eye(3), 48),
    ("fcc primitive", np.array([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]), 48),
    ("tetragonal", np.diag([7.3528, 7.3528, 33.4]), 16),
    ("orthorhombic", np.diag([3.0, 4.0, 5.0]), 8),
    ("hexagonal", HEXAGONAL, 24),
    ("monoclinic", np.array([[3.0, 0, 0], [0, 4.0, 0], [1.0, 0, 5.0]]), 4),
    ("triclinic", np.array([[3.0, 0, 0], [1.0, 4.0, 0], [1.0, 1.0, 6.0]]), 2),
    ("cubic, a skewed cell", 4 * np.array([[1.0, 0, 0], [3.0, 1.0, 0], [0, 2.0, 1.0]]), 48),
    ("left-handed", np.diag([3.0, 3.0, -5.0]), 16),
]


def test_a_long_axis_hides_no_difference_of_the_others():
    assert len(point_group(np.diag([7.35, 7.36, 100.0]))) == 8
    assert len(point_group(np.diag([7.35, 7.3501, 100.0]))) == 16


@pytest.mark.parametrize(("cell", "order"), [one[1:] for one in LATTICES], ids=[one[0] for one in LATTICES])
def test_group(cell, order):
    operations = point_group(cell)
    assert len(operations) == order
    assert (operations[0] == np.eye(3)).all()
    metric = cell @ cell.T
    known = {tuple(one.flatten()) for one in operations}
    assert len(known) == order
    for one in operations:
        np.testing.assert_allclose(one @ metric @ one.T, metric, atol=1e-9)
        assert all(tuple((one @ other).flatten()) in known for other in operations)
