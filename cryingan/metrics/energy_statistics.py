"""Statistics of energies and of relaxations (docs/dismai_bench.md, "Energy histograms" and "Relaxation statistics")."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cryingan.metrics.bootstrap import Interval, mean_interval

RANGES = {"interface": (-0.5, 0.5, 20), "silicon": (-50.0, 100.0, 30), "alloy": (-5.0, 15.0, 40)}
"""Lowest edge, highest edge and number of bins: J/m^2 for interfaces, otherwise meV/atom above the training mean."""


@dataclass(frozen=True, eq=False)
class EnergyHistogram:
    """Shares of structures by their energy.

    Attributes:
        edges: of the bins, in the unit of the energies, shape (bins + 1,).
        shares: percent of the structures in each bin, shape (bins,); NaN where none has an energy.
        below: percent below the lowest edge.
        above: percent above the highest edge.
        structures: number of structures with an energy.
        missing: number of those without.
    """

    edges: np.ndarray
    shares: np.ndarray
    below: float
    above: float
    structures: int
    missing: int


def histogram_edges(benchmark: str, compatible: bool = False) -> np.ndarray:
    """Edges of the histogram of `interface`, `silicon` or `alloy`, in the unit of `RANGES`, shape (bins + 1,).

    Args:
        benchmark: one of `RANGES`.
        compatible: give the edges of `numpy.arange`, as Dismai-Bench does. Its edge at 0 J/m^2 is -1e-16, which puts an
            energy of exactly 0, a low interface energy, into the bin above 0.
    """
    low, high, bins = RANGES[benchmark]
    if not compatible:
        return np.linspace(low, high, bins + 1)
    step = (high - low) / bins
    return np.arange(low, high + step, step)


def energy_histogram(energies: np.ndarray, edges: np.ndarray, compatible: bool = False) -> EnergyHistogram:
    """Histogram of energies whose bins hold their upper edge, the first one both.

    Args:
        energies: shape (structures,), in any unit; NaN for a structure without an energy.
        edges: ascending, in the same unit.
        compatible: give shares of the structures in range, as if there were no others.

    Example:
        >>> histogram = energy_histogram(np.array([-0.1, 0.0, 0.3, 9.0]), np.array([-0.5, 0.0, 0.5]))
        >>> histogram.shares.tolist(), histogram.above
        ([50.0, 25.0], 25.0)
    """
    energies = np.asarray(energies, dtype=np.float64)
    values = energies[~np.isnan(energies)]
    place = np.searchsorted(edges, values)
    place[values == edges[0]] = 1
    counts = np.bincount(place, minlength=len(edges) + 1)
    total = counts[1:-1].sum() if compatible else len(values)
    below, *shares, above = (100 * counts / total if total else np.full(len(counts), np.nan)).tolist()
    return EnergyHistogram(edges, np.array(shares), below, above, len(values), len(energies) - len(values))


def histogram_table(histogram: EnergyHistogram, unit: str) -> dict[str, list[float]]:
    """Edges in `unit` and shares in percent as columns; what lies below and above is in the first and the last row."""
    edges = [-np.inf, *histogram.edges.tolist(), np.inf]
    shares = [histogram.below, *histogram.shares.tolist(), histogram.above]
    return {f"from ({unit})": edges[:-1], f"to ({unit})": edges[1:], "structures with an energy (%)": shares}


def kolmogorov_smirnov(energies: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference of the distribution functions of two sets of energies: 0 for the same, 1 for none in common.

    Args:
        energies: shape (structures,); a structure without an energy (NaN) counts as above all others.
        reference: of the reference structures, likewise.

    Returns:
        NaN where a side has no structures.

    Example:
        >>> kolmogorov_smirnov(np.array([1.0, 2.0, np.nan, np.nan]), np.array([1.0, 2.0]))
        0.5
    """
    from scipy.stats import ks_2samp

    if not (len(energies) and len(reference)):
        return math.nan
    ones, others = (np.where(np.isnan(side), np.inf, side) for side in (energies, reference))
    return float(ks_2samp(ones, others, method="asymp").statistic)


def mean_and_deviation(values: np.ndarray) -> tuple[Interval, float]:
    """Mean of the finite `values` (structures,) with its bootstrap interval, and their standard deviation.

    The deviation divides by the number of structures (SI, Tables S2 and S3). NaN when there is none.
    """
    finite = values[np.isfinite(values)]
    return mean_interval(finite), float(finite.std()) if len(finite) else np.nan
