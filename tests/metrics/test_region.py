"""Which atoms lie in the interface region, against heights worked out by hand."""

import numpy as np
import pytest
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.metrics.region import Region

HEIGHTS = np.arange(10) / 10


def ladder(shift=0.0):
    """Ten atoms along c of a skewed cell."""
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


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"low": "0.1", "high": 0.2}, "low: '0.1' must be a number"),
        ({"low": 0.1, "high": np.nan}, "high: nan"),
        ({"low": True, "high": 2}, "low: True"),
        ({"low": 0.1, "high": 0.1}, "must differ"),
    ],
)
def test_wrong_region(keys, message):
    with pytest.raises(CryinGANError, match=message):
        Region(**keys)
