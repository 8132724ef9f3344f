"""Fractions of samples below energy thresholds, with Wilson intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryingan.errors import CryinGANError

THRESHOLDS = {"interface": (0.0, -0.2), "bulk": (0.0,)}  # by the kind of a set, J/m^2 and eV/atom
QUANTILES = (50, 10, 1)  # percent of random structures
N_TRAINING = 20  # training structures that are relaxed for the zero where they are not at rest


@dataclass(frozen=True)
class Fraction:
    """A fraction of the generated structures and its 95 % interval."""

    value: float
    low: float
    high: float


def fractions_below(
    energies: np.ndarray, n_generated: int, thresholds: Sequence[float] = THRESHOLDS["interface"]
) -> dict[float, Fraction]:
    """Fractions of the generated structures at or below each threshold.

    Args:
        energies: of relaxed structures, shape (structures,); NaN counts as above every threshold.
        n_generated: number of generated structures; those without an entry in `energies` count as above, too.
        thresholds: in the unit of `energies`.

    Raises:
        CryinGANError: `n_generated` is 0 or smaller than the number of energies.
    """
    if n_generated < max(1, len(energies)):
        raise CryinGANError(f"n_generated={n_generated} must be at least 1 and at least the {len(energies)} energies")
    return {threshold: wilson(int((energies <= threshold).sum()), n_generated) for threshold in thresholds}


def quantile_thresholds(random: np.ndarray) -> dict[int, float]:
    """The energy at or below which 50, 10 and 1 % of random structures lie: thresholds that compare across data sets.

    Args:
        random: relaxed energies of random structures, shape (structures,); NaN, of one that could not be relaxed,
            counts as above all others.

    Returns:
        By percentage, in the unit of `random`; without those that fewer than one structure, or one without an energy,
        would decide.

    Example:
        >>> quantile_thresholds(np.arange(200.0))
        {50: 99.0, 10: 19.0, 1: 1.0}
    """
    energies = np.sort(np.where(np.isnan(random), np.inf, random))
    counts = {percent: percent * len(energies) // 100 for percent in QUANTILES}
    found = {percent: float(energies[count - 1]) for percent, count in counts.items() if count}
    return {percent: energy for percent, energy in found.items() if np.isfinite(energy)}


def wilson(count: int, total: int) -> Fraction:
    """A fraction and its 95 % Wilson score interval, which has a width even for 0 of `total`.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927).
    """
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return Fraction(count / total, float(interval.low), float(interval.high))
