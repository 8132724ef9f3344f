"""Which atoms lie in the interface region, against heights worked out by hand."""

import numpy as np
import pytest
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.metrics.region import Region

HEIGHTS = np.arange(10) / 10


def ladder(shift=0.0):
    """Ten atoms along c of a cell whose c is 25 Angstrom long and 20 above the plane of a and b."""
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [15.0, 0, 20.0]])
    fractional = np.stack([0.3 + 2 * HEIGHTS, -HEIGHTS, HEIGHTS + shift], axis=1)
    return Atoms("He10", scaled_positions=fractional, cell=cell, pbc=True)


@pytest.mark.parametrize("shift", [0.0, -3.0, 1.0])
@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [(0.2, 0.4, [2, 3, 4]), (0.75, 0.2, [0, 1, 2, 8, 9]), (-0.25, 0.2, [0, 1, 2, 8, 9]), (0.0, 1.0, range(10))],
)
def test_slab_with_its_edges(low, high, inside, shift):
    atoms = ladder(shift)
    assert np.flatnonzero(Region(low, high).contains(atoms)).tolist() == list(inside)
    assert np.flatnonzero(Region(20 * low, 20 * high, "angstrom").contains(atoms)).tolist() == list(inside)


def test_other_axes():
    atoms = ladder()
    swapped = Atoms("He10", scaled_positions=atoms.get_scaled_positions()[:, [2, 0, 1]], cell=atoms.cell[[2, 0, 1]])
    assert np.flatnonzero(Region(4, 8, "angstrom", "a").contains(swapped)).tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"low": "0.1", "high": 0.2}, "low: '0.1' must be a number"),
        ({"low": 0.1, "high": np.nan}, "high: nan"),
        ({"low": True, "high": 2}, "low: True"),
        ({"low": 0.1, "high": 0.1}, "must differ"),
        ({"low": 0.1, "high": 0.2, "unit": "nm"}, "fractional, angstrom"),
        ({"low": 0.1, "high": 0.2, "axis": "z"}, "a, b, c"),
    ],
)
def test_wrong_region(keys, message):
    with pytest.raises(CryinGANError, match=message):
        Region(**keys)
