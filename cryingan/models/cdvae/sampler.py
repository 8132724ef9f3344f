"""Annealed Langevin dynamics (Song and Ermon, NeurIPS 2019, arXiv:1907.05600) of Cartesian coordinates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.vectors import combined


def noise_levels(largest: float, smallest: float, levels: int) -> Tensor:
    """Standard deviations of the noise in Angstrom, from the largest to the smallest in equal ratios, float64."""
    shares = torch.linspace(0, 1, levels, dtype=torch.float64)
    return largest * (smallest / largest) ** shares


def annealed(
    fractional: Tensor,
    cell: Tensor,
    score: Callable[[Tensor, int], Tensor],
    sigmas: Tensor,
    steps_per_level: int,
    step_size: float,
    denoise: bool,
    draw: Callable[[], Tensor],
) -> Tensor:
    """Take structures down the noise levels.

    A step is x + a s / sigma + sqrt(2 a) times normal noise, s the score times sigma and a = step_size
    (sigma / smallest sigma)^2.

    Args:
        fractional: where they start, shape (structures, atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        score: Cartesian gradient of the log density at a level, times sigma: towards the structure.
        sigmas: as `noise_levels` gives them.
        steps_per_level: steps at each level.
        step_size: at the last level, Angstrom^2.
        denoise: a last step of sigma s, without noise.
        draw: a new standard normal tensor of the shape of `fractional`.

    Returns:
        Fractional coordinates in [0, 1).
    """
    inverse = np.linalg.inv(cell.numpy(force=True))
    for level, sigma in enumerate(sigmas.tolist()):
        step = step_size * (sigma / float(sigmas[-1])) ** 2
        for _ in range(steps_per_level):
            move = step / sigma * score(fractional, level) + (2 * step) ** 0.5 * draw()
            fractional = (fractional + combined(move, inverse)) % 1.0
    if denoise:
        last = len(sigmas) - 1
        fractional = fractional + combined(float(sigmas[last]) * score(fractional, last), inverse)
    return fractional % 1.0
