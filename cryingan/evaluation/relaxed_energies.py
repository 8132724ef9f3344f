"""Statistics of the energies and relaxations that `sample.py` recorded beside relaxed samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from cryingan.evaluation.benchmarks.base import Scores
from cryingan.evaluation.origin import NUMBERS, Origin
from cryingan.metrics import energy_statistics
from cryingan.metrics.bootstrap import Interval, finite_or_none
from cryingan.plots.energies import energy_figure

HISTOGRAM_UNITS = {"interface": ("J/m^2", 1.0), "silicon": ("meV/atom", 1000.0)}
"""Unit of the histogram of relaxed energies, and its factor from the unit of energies.csv."""
NO_ZERO = "energies are not relative to the training structures: give training=FILE when the samples are relaxed"


def relaxed_energies(origin: Origin, kind: str, compatible: bool = False) -> tuple[dict[str, Any], Scores]:
    """Return steps, energy drops, fractions below thresholds, likeness and the histogram of relaxed samples.

    Definitions are in docs/dismai_bench.md (Relaxation statistics, Energy histograms). The values are for metrics.json,
    the scores are table and figure of the histogram, whose range follows from the `kind` of benchmark; all are empty
    where energies are unknown. `compatible` as in `cryingan.metrics.energy_statistics.energy_histogram`.
    """
    if not origin.energies:
        return {}, Scores()
    rows = origin.energies.values()
    initial, final, energies, steps = (np.array([row[name] for row in rows]) for name in NUMBERS)
    converged = np.isfinite(energies)
    summary = {
        "steps": _entry(*energy_statistics.mean_and_deviation(steps[converged])),
        "energy_drop_meV_per_atom": _entry(*energy_statistics.mean_and_deviation(1000 * (initial - final)[converged])),
        **_short(origin.fractions),
        "unit": origin.unit,
        **({"training": _short(origin.training)} if origin.training else {}),
    }
    unit, factor = HISTOGRAM_UNITS.get(kind, ("", 1.0))
    if kind == "silicon" and not origin.zero:
        return summary | {"no_histogram": NO_ZERO}, Scores()
    if not unit or origin.unit != ("J/m^2" if kind == "interface" else "eV/atom"):
        return summary, Scores()
    energies = factor * energies
    edges = energy_statistics.histogram_edges(kind, compatible)
    histogram = energy_statistics.energy_histogram(energies, edges, compatible)
    for side in ("below", "above"):
        summary[f"percent_{side}_histogram"] = finite_or_none(getattr(histogram, side))
    table = energy_statistics.histogram_table(histogram, unit)
    figure = partial(energy_figure, energies, None, len(energies), unit)
    return summary, Scores(tables={"energy_histogram.csv": table}, figures={"energies": figure})


def _short(values: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("relax/"): value for name, value in values.items()}


def _entry(interval: Interval, deviation: float) -> dict[str, Any]:
    return interval.as_json() | {"deviation": finite_or_none(deviation)}
