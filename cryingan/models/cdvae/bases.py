"""Functions in which the networks of CDVAE expand distances and angles.

Sources: DimeNet (Gasteiger et al., ICLR 2020, arXiv:2003.03123), equations 6 to 8; GemNet (Gasteiger et al., NeurIPS
2021, arXiv:2106.08903).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

ORDERS = 7
"""Angular orders l = 0 .. 6."""
RADIAL = 6
"""Radial functions of the encoder, for each order where angles count."""
CLOSEST = 0.1
"""Fraction of the radius. The encoder, which divides by distances, takes smaller ones for it."""


def legendre(cosines: Tensor) -> list[Tensor]:
    """Y_l0 of angles, sqrt((2 l + 1) / 4 pi) P_l(cosine), for l = 0 .. 6, each of the shape of `cosines`."""
    polynomials = [torch.ones_like(cosines), cosines]
    for order in range(2, ORDERS):
        one, other = polynomials[-1], polynomials[-2]
        polynomials.append(((2 * order - 1) * cosines * one - (order - 1) * other) / order)
    return [math.sqrt((2 * order + 1) / (4 * math.pi)) * p for order, p in enumerate(polynomials)]


class Gaussians(nn.Module):
    """Gaussians of a distance over a radius, centred on 0 .. 1 and as wide as they are apart, that end at 1 smoothly.

    exp(-(d - c_k)^2 (count - 1)^2 / 2) (1 - 21 d^5 + 35 d^6 - 15 d^7)

    Args:
        count: their number.
        radius: Angstrom.
    """

    def __init__(self, count: int, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.register_buffer("centers", torch.linspace(0, 1, count), persistent=False)

    def forward(self, lengths: Tensor) -> Tensor:
        """Lengths in Angstrom (edges,) to values (edges, count)."""
        d = (lengths / self.radius)[:, None]
        inside = 1 - 21 * d**5 + 35 * d**6 - 15 * d**7
        return torch.exp(-((d - self.centers) * (len(self.centers) - 1)).square() / 2) * inside


class Bessel(nn.Module):
    """Waves of a distance over a radius, env(d) sin(f_k d), whose frequencies begin at k pi and are learned.

    Args:
        radius: Angstrom.
    """

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius
        self.frequencies = nn.Parameter(math.pi * torch.arange(1.0, RADIAL + 1))

    def forward(self, lengths: Tensor) -> Tensor:
        """Lengths in Angstrom (edges,) to values (edges, 6)."""
        d = (lengths / self.radius).clamp_min(CLOSEST)[:, None]
        return envelope(d) * torch.sin(self.frequencies * d)


def envelope(d: Tensor) -> Tensor:
    """1 / d - 28 d^5 + 48 d^6 - 21 d^7: with its derivatives of first and second order 0 at 1, and beyond."""
    return torch.where(d < 1, 1 / d - 28 * d**5 + 48 * d**6 - 21 * d**7, 0.0)


def spherical_bessel(lengths: Tensor, radius: float) -> Tensor:
    """env(d) j_l(z_lk d) of distances over a radius, z_lk the k-th zero of j_l, normalised on the unit ball.

    Args:
        lengths: Angstrom, shape (edges,).
        radius: Angstrom.

    Returns:
        Without gradient, shape (edges, 7, 6): by order l and number k.
    """
    zeros, norms = (torch.from_numpy(values).to(lengths.device) for values in _zeros_and_norms())
    d = (lengths.detach() / radius).clamp_min(CLOSEST)
    reduced = zeros * d.double()[:, None, None]
    before = reduced.sin() / reduced
    now = (before - reduced.cos()) / reduced
    found = [before[:, 0]]
    for order in range(1, ORDERS):  # each order from the two below it, for the orders that are left
        before, now, reduced = before[:, 1:], now[:, 1:], reduced[:, 1:]
        found.append(now[:, 0])
        before, now = now, (2 * order + 1) / reduced * now - before
    return envelope(d)[:, None, None] * (torch.stack(found, dim=1) * norms).to(lengths)


@lru_cache(maxsize=1)
def _zeros_and_norms() -> tuple[np.ndarray, np.ndarray]:
    """The first six zeros of j_0 .. j_6, and sqrt(2) / |j_l+1(z)|, both (7, 6)."""
    zeros = math.pi * np.arange(1, RADIAL + ORDERS)  # of j_0; those of j_l lie between two of j_l-1
    rows = [zeros[:RADIAL]]
    for order in range(1, ORDERS):
        zeros = np.array([brentq(lambda x, n=order: spherical_jn(n, x), *ends) for ends in pairwise(zeros)])
        rows.append(zeros[:RADIAL])
    found = np.stack(rows)
    return found, math.sqrt(2) / np.abs(spherical_jn(np.arange(1, ORDERS + 1)[:, None], found))
