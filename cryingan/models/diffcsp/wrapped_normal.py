"""The normal distribution on a circle of circumference one, in which noise on fractional coordinates is distributed."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGES = 10
GRID = 512
LEVELS_AT_ONCE = 64
NARROW = 0.02


def score(difference: Tensor, sigma: Tensor | float) -> Tensor:
    """Minus the gradient of the log density of the wrapped normal: it points along the noise (DiffCSP, appendix).

    s(d) = sum_m w_m (d + m) / sigma^2 with weights w_m proportional to exp(-(d + m)^2 / 2 sigma^2), m = -10 .. 10.

    Args:
        difference: fractional differences from the mean, any shape; need not be wrapped.
        sigma: standard deviations before wrapping, at most 1, broadcast with `difference`.

    Returns:
        Per unit of fractional length, the shape of both broadcast. Exact to rounding: quotients of tiny numbers do not
        appear.

    Example:
        >>> score(torch.tensor([0.05, 1.25, 0.5]), 0.1).round(decimals=3)
        tensor([ 5., 25., 0.])
    """
    sigma = torch.as_tensor(sigma, dtype=difference.dtype, device=difference.device)[..., None]
    images = torch.arange(-IMAGES, IMAGES + 1, dtype=difference.dtype, device=difference.device)
    apart = (difference - difference.round())[..., None] + images
    weights = (-(apart**2) / (2 * sigma**2)).softmax(dim=-1)
    return (weights * apart).sum(dim=-1) / sigma[..., 0] ** 2


def mean_squared_score(sigma: Tensor) -> Tensor:
    """Mean of `score` squared under its own distribution; near 1 / sigma^2 up to sigma = 0.1, less beyond.

    Args:
        sigma: standard deviations, any shape.

    Returns:
        float64, the shape of `sigma`, exact to rounding: by the trapezoidal rule, below 0.02 as 1 / sigma^2.
    """
    levels, place = sigma.double().unique(return_inverse=True)
    circle = torch.cat([_mean_squared_score(some) for some in levels.clamp_min(NARROW).split(LEVELS_AT_ONCE)])
    return torch.where(levels < NARROW, levels**-2, circle)[place]


def _mean_squared_score(sigma: Tensor) -> Tensor:
    places = torch.arange(GRID, dtype=torch.float64, device=sigma.device) / GRID - 0.5
    images = torch.arange(-IMAGES, IMAGES + 1, dtype=torch.float64, device=sigma.device)
    density = torch.exp(-((places[:, None] + images) ** 2) / (2 * sigma[:, None, None] ** 2)).sum(dim=-1)
    return (density * score(places, sigma[:, None]) ** 2).sum(dim=-1) / density.sum(dim=-1)
