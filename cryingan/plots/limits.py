"""Limits of axes from the values that are drawn."""

from __future__ import annotations

import numpy as np

FENCES = 10  # interquartile ranges from the quartiles, beyond which a value is an outlier


def finite(values: np.ndarray | None) -> np.ndarray:
    """The values that are numbers, flat and float64; none of None."""
    values = np.asarray([] if values is None else values, dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def limits_without_outliers(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest of the values within ten interquartile ranges of the quartiles; of all, where that is 0.

    There must be a value, and all must be finite.
    """
    low, high = np.percentile(values, (25, 75))
    if high > low:
        reach = FENCES * (high - low)
        values = values[(values >= low - reach) & (values <= high + reach)]
    return float(values.min()), float(values.max())


def padded(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """Limits of an axis that holds low to high and a margin (a share of what lies between), also if they are equal."""
    width = high - low
    if width <= 1e-9 * max(abs(low), abs(high)):
        width = 0.1 * abs(high) or 1.0
        share = 0.5
    return low - share * width, high + share * width
