"""Layers of the decoder, which keep the variance of what passes through them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

LARGEST = 100.0
"""A scale factor beyond it would come of structures that have hardly any neighbours."""


def orthogonal_(weight: Tensor) -> Tensor:
    """Fill a weight (out, in) with orthogonal rows of mean 0 and variance 1 / in, in place (GemNet, appendix)."""
    with torch.no_grad():
        nn.init.orthogonal_(weight)
        if weight.shape[1] > 1:
            weight -= weight.mean(dim=1, keepdim=True)
        weight /= weight.square().mean(dim=1, keepdim=True).sqrt()
        return weight.mul_(weight.shape[1] ** -0.5)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear map without bias."""
    layer = nn.Linear(inputs, outputs, bias=False)
    orthogonal_(layer.weight)
    return layer


def activated(x: Tensor) -> Tensor:
    """SiLU of x / 0.6, of variance near 1 for standard normal inputs."""
    return silu(x).mul_(1 / 0.6)


def merged(one: Tensor, other: Tensor) -> Tensor:
    """Sum of two quantities of equal variance, with that variance."""
    return (one + other).mul_(math.sqrt(0.5))


class Dense(nn.Module):
    """A linear map without bias, and SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.map = linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Values (..., inputs) to (..., outputs)."""
        return activated(self.map(x))


class Residual(nn.Module):
    """Adds what two dense layers make of their input to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Dense(width, width), Dense(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Values (..., width) to the same."""
        return merged(x, self.layers(x))


class Scale(nn.Module):
    """A factor of values that a sum or a product has given another variance; fixed, and saved with the weights.

    Args:
        factor: the factor, until it is fitted.
    """

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.fitting = False
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, reference: Tensor, values: Tensor) -> Tensor:
        """Values times the factor; where it is being fitted, to the standard deviation of a reference."""
        if self.fitting:
            self.factor.copy_((reference.std() / values.std()).nan_to_num(1.0).clamp(1 / LARGEST, LARGEST))
        return values * self.factor
