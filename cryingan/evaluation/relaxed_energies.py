"""Statistics of the energies and relaxations that `sample.py` recorded beside relaxed samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.evaluation.benchmarks.base import Table
from cryingan.evaluation.origin import NUMBERS, Origin
from cryingan.metrics.bootstrap import Interval, finite_or_none
from cryingan.metrics.energy_statistics import (
    energy_histogram,
    histogram_edges,
    histogram_table,
    relaxation_statistics,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAM_UNITS = {"interface": ("J/m^2", 1.0), "silicon": ("meV/atom", 1000.0)}
"""Unit of the histogram of relaxed energies, and its factor from the unit of energies.csv."""
NO_ZERO = "energies are not relative to the training structures: give training=FILE when the samples are relaxed"


@dataclass(frozen=True, eq=False)
class RelaxedEnergies:
    """Statistics of the relaxations of a set of samples.

    Attributes:
        summary: values for metrics.json.
        tables: columns by file name.
        figures: functions that draw figures, by file name without suffix.
    """

    summary: Mapping[str, Any]
    tables: Mapping[str, Table]
    figures: Mapping[str, Callable[[], Figure]]


def relaxed_energies(origin: Origin, kind: str, compatible: bool = False) -> RelaxedEnergies | None:
    """Return steps, energy drops, fractions below thresholds and the histogram of relaxed samples.

    Definitions are in docs/dismai_bench.md (Relaxation statistics, Energy histograms).

    Args:
        origin: where the structures come from.
        kind: name of the benchmark, which decides the range of the histogram.
        compatible: as in `cryingan.metrics.energy_statistics.energy_histogram`.

    Returns:
        The statistics; None where energies are unknown.
    """
    if not origin.energies:
        return None
    rows = origin.energies.values()
    initial, final, energies, steps = (np.array([row[name] for row in rows]) for name in NUMBERS)
    statistics = relaxation_statistics(steps, initial, final, converged=np.isfinite(energies))
    summary = {
        "steps": _entry(statistics.steps, statistics.steps_deviation),
        "energy_drop_meV_per_atom": _entry(statistics.drop, statistics.drop_deviation),
        **{name.removeprefix("relax/"): value for name, value in origin.fractions.items()},
        "unit": origin.unit,
    }
    tables, figures = {}, {}
    unit, factor = HISTOGRAM_UNITS.get(kind, ("", 1.0))
    if kind == "silicon" and not origin.zero:
        summary["no_histogram"] = NO_ZERO
    elif unit and origin.unit == ("J/m^2" if kind == "interface" else "eV/atom"):
        histogram = energy_histogram(factor * energies, histogram_edges(kind, compatible), compatible)
        summary |= {"percent_below_histogram": histogram.below, "percent_above_histogram": histogram.above}
        tables["energy_histogram.csv"] = histogram_table(histogram, unit)

        def draw() -> Figure:
            from cryingan.plots.energies import energy_figure

            return energy_figure(factor * energies, None, len(energies), unit, (0.0,))

        figures["energies"] = draw
    return RelaxedEnergies(summary, tables, figures)


def _entry(interval: Interval, deviation: float) -> dict[str, Any]:
    return interval.as_json() | {"deviation": finite_or_none(deviation)}
