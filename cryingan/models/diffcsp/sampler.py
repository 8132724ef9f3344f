"""Noise on fractional coordinates, level by level, and the way back (DiffCSP, algorithm 1; Song et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

LEVELS = 1000
CORRECTED = 0.005  # noise to which the step size of the corrector belongs, the least of the paper


def noise_levels(smallest: Sequence[float], largest: Sequence[float], levels: int = LEVELS) -> Tensor:
    """Standard deviations of the noise on each axis, by level, in equal ratios; level 0 has none.

    Args:
        smallest: at level 1, fractions of the lattice vectors, one or three.
        largest: at the last level.
        levels: their number.

    Returns:
        float64, shape (levels + 1, 3).
    """
    low, high = (torch.as_tensor(list(ends), dtype=torch.float64).expand(3) for ends in (smallest, largest))
    shares = torch.linspace(0, 1, levels, dtype=torch.float64)[:, None]
    return torch.cat([torch.zeros(1, 3, dtype=torch.float64), low * (high / low) ** shares])


def visited_levels(levels: int, steps: int) -> list[int]:
    """The levels that a sampler of `steps` steps visits, evenly from the last to 1, and 0."""
    return [*np.linspace(levels, 1, min(steps, levels)).round().astype(int).tolist(), 0]


def denoised(
    fractional: Tensor,
    score: Callable[[Tensor, int], Tensor],
    sigmas: Tensor,
    visited: Sequence[int],
    step_size: float,
    draw: Callable[[], Tensor],
) -> Tensor:
    """Take structures from the last visited noise level to the first: a corrector and a predictor at each.

    The corrector is a step of Langevin dynamics, g = step_size (sigma / 0.005)^2, which is 0.4 sigma^2 in the
    paper; the predictor goes to the next visited level by the reversed noise process, whatever lies between, and to
    level 0 without noise.

    Args:
        fractional: structures with the noise of the first visited level, shape (structures, atoms, 3).
        score: minus the gradient of the log density at a level, per unit of fractional length.
        sigmas: as `noise_levels` gives them.
        visited: levels, descending, the last one 0.
        step_size: of the corrector where the noise is 0.005, a squared fraction; 0 leaves it out. Above 5e-5 steps
            overshoot, and grow.
        draw: a new standard normal tensor of the shape of `fractional`.

    Returns:
        Fractional coordinates in [0, 1).
    """
    for level, following in pairwise(visited):
        sigma, lower = sigmas[level].to(fractional), sigmas[following].to(fractional)
        if step_size:
            step = step_size * (sigma / CORRECTED) ** 2
            fractional = fractional - step * score(fractional, level) + (2 * step).sqrt() * draw()
        difference = sigma**2 - lower**2
        fractional = fractional - difference * score(fractional, level)
        if following:
            fractional = fractional + lower * difference.sqrt() / sigma * draw()
        fractional = fractional % 1.0
    return fractional % 1.0
