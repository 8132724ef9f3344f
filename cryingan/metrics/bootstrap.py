"""Distances between the mean rows of two sets of structures, and pivotal bootstrap intervals over structures.

A structure without a row (a species is missing) is NaN and left out; where none is left, the value is NaN and the
interval has the reason. Source: docs/dismai_bench.md, "Bootstrap intervals".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

REPETITIONS = 1000
SEED = 7
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class Interval:
    """A statistic of so many structures with the ends of its 95 % interval: numbers, or arrays of one shape.

    `low` may exceed `value`, as a distance between means grows in bootstrap samples. A value that is not defined is
    NaN and has a `reason`.
    """

    value: float | np.ndarray
    low: float | np.ndarray
    high: float | np.ndarray
    structures: int
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The interval of one number as JSON; null where it is not finite, `reason` only where there is one."""
        ends = {name: finite_or_none(getattr(self, name)) for name in ("value", "low", "high")}
        return {**ends, "structures": self.structures, **({"reason": self.reason} if self.reason else {})}


def finite_or_none(value: float) -> float | None:
    """A number that JSON can hold."""
    return float(value) if math.isfinite(value) else None


def pivotal_interval(per_structure: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """A statistic of the mean row and its pivotal bootstrap interval, [2 s - P97.5, 2 s - P2.5].

    Args:
        per_structure: one row per structure, shape (structures, ...).
        statistic: maps means of rows, shape (samples, ...), to shape (samples,) or (samples, results).

    Returns:
        The interval; NaN with a reason when no structure has a row or the statistic is not finite.
    """
    rows = _finite(per_structure)
    value = statistic(mean_row(rows)[None])[0]
    if len(rows) == 0:
        return _interval(value, value, value, 0, "no structure to take a mean of")
    means = resampled_counts(len(rows)) @ rows.reshape(len(rows), -1) / len(rows)
    low, high = np.percentile(statistic(means.reshape(-1, *rows.shape[1:])), PERCENTILES, axis=0)
    reason = "" if np.isfinite(value).all() else "the statistic is not defined for the mean of these structures"
    return _interval(value, 2 * value - high, 2 * value - low, len(rows), reason)


def resampled_counts(structures: int) -> np.ndarray:
    """How often each bootstrap sample takes each structure, float64, shape (1000, structures), equal in each call."""
    random = np.random.default_rng(SEED)
    samples = (random.choice(structures, size=structures) for _ in range(REPETITIONS))
    return np.stack([np.bincount(sample, minlength=structures) for sample in samples]).astype(np.float64)


def mean_row(per_structure: np.ndarray) -> np.ndarray:
    """Mean over the structures that have a row, shape (...) from (structures, ...); NaN when none has."""
    rows = _finite(per_structure)
    return rows.mean(axis=0) if len(rows) else np.full(rows.shape[1:], np.nan)


def mean_interval(per_structure: np.ndarray) -> Interval:
    """The mean over structures of a number or a curve, (structures,) or (structures, points), with its interval.

    Example:
        >>> interval = mean_interval(np.array([1.0, 2.0, 6.0]))
        >>> interval.value, interval.structures
        (3.0, 3)
    """
    return pivotal_interval(per_structure, lambda means: means)


def median_interval(per_structure: np.ndarray) -> Interval:
    """The median over structures of a number, (structures,), with its pivotal interval as in `pivotal_interval`."""
    values = np.sort(_finite(per_structure))
    if len(values) == 0:
        return _interval(np.nan, np.nan, np.nan, 0, "no structure to take a median of")
    value, drawn = np.median(values), resampled_counts(len(values)).cumsum(axis=1)
    middle = ((drawn[:, -1:] - 1) // 2, drawn[:, -1:] // 2)  # places of the two values in the middle, or twice of one
    medians = np.mean([values[(drawn > place).argmax(axis=1)] for place in middle], axis=0)
    low, high = np.percentile(medians, PERCENTILES)
    return _interval(value, 2 * value - high, 2 * value - low, len(values), "")


def distance_of_means(generated: np.ndarray, reference: np.ndarray, distance: str = "euclidean") -> Interval:
    """Distance between the mean rows of two sets, with a reason where it is NaN as a side has no structure.

    These are the d_motif, d_rdf, d_angle and d_cluster of docs/dismai_bench.md, in the unit of the features.

    Args:
        generated: one row per structure, shape (structures, features); only this side is resampled.
        reference: likewise; a mean that is known already is a single row.
        distance: `euclidean`, or `cosine` (1 - cosine similarity; not defined if just one of the means is all zero).

    Raises:
        ValueError: there is no such distance.

    Example:
        >>> generated, reference = [[0.0, 1.0], [0.0, 3.0]], [[0.0, 0.5]]
        >>> distance_of_means(generated, reference).value
        1.5
    """
    if distance not in MEASURES:
        raise ValueError(f"distance {distance!r} must be one of {', '.join(MEASURES)}")
    measure, target = MEASURES[distance], mean_row(reference)
    generated = np.reshape(generated, (-1, len(target)))
    if not np.isfinite(target).all():
        return _interval(np.nan, np.nan, np.nan, 0, "no reference structure to take a mean of")
    return pivotal_interval(generated, lambda means: measure(means, target))


def _euclidean(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows - target, axis=-1)


def _cosine(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    # |u - v|^2 / 2 of unit vectors is exactly zero for equal ones, which 1 - u.v is not.
    length, target_length = np.linalg.norm(rows, axis=-1), np.linalg.norm(target, axis=-1)
    units = rows / np.where(length > 0, length, 1)[..., None]
    result = ((units - target / (target_length or 1)) ** 2).sum(axis=-1) / 2
    return np.where((length > 0) == (target_length > 0), result, np.nan)


MEASURES = {"euclidean": _euclidean, "cosine": _cosine}
"""Distances of rows, shape (samples, features), to one row, shape (features,), by name."""


def _finite(per_structure: np.ndarray) -> np.ndarray:
    """The structures all of whose values are finite, float64, shape (structures, ...)."""
    rows = np.asarray(per_structure, dtype=np.float64)
    return rows[np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))]


def _interval(value: np.ndarray, low: np.ndarray, high: np.ndarray, structures: int, reason: str) -> Interval:
    ends = (end.item() if np.ndim(end) == 0 else end for end in map(np.asarray, (value, low, high)))
    return Interval(*ends, structures, reason)
