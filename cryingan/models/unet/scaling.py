"""Quantities scaled by their least and largest values in the training structures."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Scaling(nn.Module):
    """Linear maps that take the least value of each quantity to one end of a range and the largest to the other.

    Args:
        least: values before there are training structures.
        largest: likewise.
        low: what the least value becomes; the largest becomes 1.
    """

    def __init__(self, least: list[float], largest: list[float], low: float) -> None:
        super().__init__()
        self.low = low
        self.register_buffer("least", torch.tensor(least))
        self.register_buffer("largest", torch.tensor(largest))

    def fit(self, parts: Iterable[Tensor]) -> None:
        """Find least and largest values of parts of shape (..., quantities)."""
        ends = [torch.stack(part.flatten(0, -2).aminmax(dim=0)) for part in parts]
        self.least.copy_(torch.stack([end[0] for end in ends]).amin(dim=0))
        self.largest.copy_(torch.stack([end[1] for end in ends]).amax(dim=0))

    @property
    def _unit(self) -> Tensor:
        """What one unit of the range is; of a quantity that does not vary, 1."""
        width = (self.largest - self.least) / (1 - self.low)
        return torch.where(width > 0, width, torch.ones_like(width))

    def scaled(self, values: Tensor) -> Tensor:
        """Values of shape (..., quantities) in the range."""
        return (values - self.least) / self._unit + self.low

    def unscaled(self, values: Tensor) -> Tensor:
        """The inverse of `scaled`."""
        return (values - self.low) * self._unit + self.least
