"""What differences of atoms add to the first layer of their messages: weights times sines and cosines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class PairFeatures(Protocol):
    """Sines and cosines of fractional differences, shape (..., 6 frequencies), as `waves` gives them."""

    def products(self, weights: Sequence[Tensor]) -> Iterator[Tensor]:
        """Products with weights (width, 6 frequencies), one after the other: each of shape (..., width)."""


class DirectWaves:
    """`PairFeatures` as they are.

    Args:
        difference: fractional, shape (..., 3).
        frequencies: waves per axis.
    """

    def __init__(self, difference: Tensor, frequencies: int) -> None:
        self.values = waves(difference, frequencies)

    def products(self, weights: Sequence[Tensor]) -> Iterator[Tensor]:
        """Products with weights."""
        return (functional.linear(self.values, weight) for weight in weights)


class TabulatedWaves:
    """`PairFeatures` by linear interpolation: a product is a sum of one periodic function for each axis.

    Its relative error for a wave of frequency k is at most (2 pi k / grid)^2 / 8.

    Args:
        difference: fractional, shape (..., 3).
        frequencies: waves per axis.
        grid: points of each function.
    """

    def __init__(self, difference: Tensor, frequencies: int, grid: int) -> None:
        self.shape = difference.shape[:-1]
        position = (difference - difference.floor()).reshape(-1, 3) * grid
        lower = position.floor()
        share = position - lower
        axes = grid * torch.arange(3, device=difference.device)
        points = lower.long() % grid
        rows = torch.cat([points + axes, (points + 1) % grid + axes], dim=1)
        self.interpolation = WeightedRows(rows, torch.cat([1 - share, share], dim=1), 3 * grid)
        angles = 2 * math.pi / grid * torch.arange(grid, device=difference.device, dtype=difference.dtype)
        angles = angles[:, None] * torch.arange(frequencies, device=difference.device)
        self.basis = torch.cat([angles.sin(), angles.cos()], dim=-1)

    def products(self, weights: Sequence[Tensor]) -> Iterator[Tensor]:
        """Products with weights."""
        per_axis = torch.cat(list(weights)).unflatten(1, (2, 3, -1))
        tables = torch.cat([self.basis @ per_axis[:, :, axis].flatten(1).T for axis in range(3)])
        for table in tables.split([len(weight) for weight in weights], dim=1):
            yield self.interpolation.of(table.contiguous()).unflatten(0, self.shape)


class WeightedRows:
    """Weighted sums of rows of a table, as a linear function of the table.

    Args:
        rows: indices, shape (sums, rows of a sum).
        weights: of the rows, shape (sums, rows of a sum).
        points: rows of the table.
    """

    def __init__(self, rows: Tensor, weights: Tensor, points: int) -> None:
        self.rows, self.weights, self.transposed = rows, weights, None
        if rows.device.type == "cpu" and torch.is_grad_enabled() and not weights.requires_grad:
            sums = torch.arange(len(rows))[:, None].expand_as(rows)
            places = torch.stack([rows.flatten(), sums.flatten()])
            self.transposed = torch.sparse_coo_tensor(
                places, weights.flatten(), (points, len(rows)), check_invariants=False
            )

    def of(self, table: Tensor) -> Tensor:
        """The sums of the rows of a table (points, width): shape (sums, width)."""
        if self.transposed is None:
            return _sums(table, self.rows, self.weights)
        return _WeightedRows.apply(table, self)


def _sums(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(rows, table, per_sample_weights=weights.to(table.dtype), mode="sum")


class _WeightedRows(torch.autograd.Function):
    """Its gradient is a sparse product, on a CPU several times as fast as the one of `embedding_bag`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, weighted: WeightedRows) -> Tensor:
        ctx.transposed = weighted.transposed
        return _sums(table, weighted.rows, weighted.weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.sparse.mm(ctx.transposed, gradient.to(ctx.transposed.dtype)).to(gradient.dtype), None


def waves(fractional: Tensor, frequencies: int) -> Tensor:
    """Sines of 2 pi k x for k = 0, 1, ... on the three axes, then the cosines: (..., 3) to (..., 6 frequencies)."""
    angles = 2 * math.pi * fractional[..., None] * torch.arange(frequencies, device=fractional.device)
    return torch.cat([angles.sin().flatten(-2), angles.cos().flatten(-2)], dim=-1)
