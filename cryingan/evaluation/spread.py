"""A value over several runs: mean and range."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Mean, smallest and largest of the runs in which a value is defined; NaN if in none."""

    mean: float
    low: float
    high: float


def spread(values: np.ndarray) -> Spread:
    """The spread of values of runs, NaN where one has none.

    >>> spread(np.array([1.0, np.nan, 2.0]))
    Spread(mean=1.5, low=1.0, high=2.0)
    """
    values = values[np.isfinite(values)]
    return Spread(*map(float, (values.mean(), values.min(), values.max()))) if len(values) else Spread(*[np.nan] * 3)


def spread_text(values: np.ndarray) -> str:
    """Mean (smallest, largest) over runs, or the value of a single run.

    >>> spread_text(np.array([1.0, np.nan, 2.0])), spread_text(np.array([np.nan]))
    ('1.5 (1, 2) [2 of 3 runs]', 'undefined')
    """
    defined = int(np.isfinite(values).sum())
    if defined == 0:
        return "undefined"
    mean, low, high = (f"{value:.3g}" for value in spread(values))
    note = f" [{defined} of {len(values)} runs]" if defined < len(values) else ""
    return (mean if len(values) == 1 else f"{mean} ({low}, {high})") + note
