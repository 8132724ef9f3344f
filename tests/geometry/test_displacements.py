"""Displacements to the nearest image along each axis."""

import pytest
import torch

from cryingan.geometry.displacements import nearest_along_axes

CELL = torch.tensor([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.0, 0.5, 7.0]], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_axis_is_wrapped_and_the_dtype_is_kept(dtype):
    """Moving every coordinate by whole numbers until it is within half a lattice vector, one at a time."""
    difference = 3 * torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = torch.zeros(2, 4, 3, dtype=dtype)
    for place in torch.cartesian_prod(*map(torch.arange, difference.shape)).tolist():
        moved = difference[tuple(place)].item()
        while abs(moved) > 0.5:
            moved -= 1 if moved > 0 else -1
        expected[place[0], place[1]] += moved * CELL[place[2]].to(dtype)
    found = nearest_along_axes(difference, CELL)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)
