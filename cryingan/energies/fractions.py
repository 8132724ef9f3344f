"""Fractions of samples below energy thresholds, with Wilson intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cryingan.errors import CryinGANError

THRESHOLDS = (0.0, -0.2)


@dataclass(frozen=True)
class Fraction:
    """A fraction of the generated structures with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def fractions_below(
    energies: np.ndarray, n_generated: int, thresholds: Sequence[float] = THRESHOLDS
) -> dict[float, Fraction]:
    """Fractions of the generated structures at or below each threshold.

    Structures without a relaxed energy (NaN in `energies`, or missing from it) count as generated and never as below.

    Args:
        energies: of the structures that were relaxed, shape (structures,).
        n_generated: structures that were generated.
        thresholds: in the unit of `energies`.

    Returns:
        A fraction for each threshold.

    Raises:
        CryinGANError: fewer were generated than have energies, or none.
    """
    if n_generated < max(1, len(energies)):
        raise CryinGANError(f"n_generated={n_generated} must be at least 1 and at least the {len(energies)} energies")
    return {threshold: wilson(int((energies <= threshold).sum()), n_generated) for threshold in thresholds}


def wilson(count: int, total: int) -> Fraction:
    """A fraction and its 95 % interval, Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927)).

    A bootstrap of 0 of n would end at 0, as if no further structure could count.
    """
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return Fraction(count / total, float(interval.low), float(interval.high))
