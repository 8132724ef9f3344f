"""Displacements to the nearest image along each axis, and to the nearest of all."""

import pytest
import torch

from cryingan.geometry.displacements import nearest_along_axes, nearest_image
from tests.support.distances import CELLS

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


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_nearest_image_is_the_shortest_of_many(name, dtype):
    cell = torch.from_numpy(CELLS[name])
    difference = 3 * torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    steps = torch.arange(-12.0, 13.0, dtype=torch.float64)
    images = (difference.double() % 1)[:, None] + torch.cartesian_prod(steps, steps, steps)
    lengths = (images @ cell).norm(dim=-1)
    found = nearest_image(difference, cell)
    assert found.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found.double().norm(dim=-1), lengths.amin(dim=1), rtol=0, atol=tolerance)
    whole = (found.double() - difference.double() @ cell) @ torch.linalg.inv(cell)
    torch.testing.assert_close(whole, whole.round(), rtol=0, atol=tolerance * 10)
