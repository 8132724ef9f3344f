"""Metrics of several models side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite, padded
from cryingan.plots.style import BLUE, COLUMN_WIDTH, GREY, PAGE_WIDTH, broken, error_lines, new_figure, readable, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, BETWEEN = 0.14, 0.08  # inch, height of a line of a model's name and of the gap to the next name
COLUMNS = 5


@style()
def comparison_figure(models: Sequence[str], metrics: Mapping[str, np.ndarray]) -> Figure:
    """Draw mean and range of metrics, as the paper reports them: a panel for each metric, a row for each model.

    Args:
        models: names, the first at the top.
        metrics: by name, with the unit: value, lowest and highest of every model, shape (3, models). A model whose
            value is NaN is marked as undefined.
    """
    rows = math.ceil(len(metrics) / COLUMNS)
    columns = math.ceil(len(metrics) / rows)
    width = COLUMN_WIDTH if columns < 3 else PAGE_WIDTH
    names = [broken(model, 0.4 * COLUMN_WIDTH if columns < 3 else 0.3 * PAGE_WIDTH) for model in models]
    heights = np.array([LINE * (name.count("\n") + 1) + BETWEEN for name in names])
    places = heights.cumsum() - heights / 2
    figure = new_figure(columns, rows, height=0.6 + heights.sum(), width=width, sharey=True)
    for axis, (name, values) in zip(figure.axes, metrics.items(), strict=False):
        _draw_panel(axis, values, places)
        axis.set_title(readable(broken(name, width / (columns + 1))))
    for axis in figure.axes[len(metrics) :]:
        axis.set_axis_off()
    figure.axes[0].set_yticks(places, names)
    figure.axes[0].set_ylim(heights.sum(), 0)
    return figure


def _draw_panel(axis: Axes, metric: np.ndarray, places: np.ndarray) -> None:
    value, low, high = np.asarray(metric, dtype=np.float64)
    error_lines(axis, places, low, high, BLUE, horizontal=True)
    axis.plot(value, places, "o", color=BLUE)
    for place in places[~np.isfinite(value)]:
        axis.text(0.5, place, "undefined", transform=axis.get_yaxis_transform(), color=GREY, ha="center", va="center")
    known = finite(metric)
    axis.set_xlim(padded(known.min(initial=0), known.max(initial=0)) if len(known) else (0, 1))
    axis.locator_params(axis="x", nbins=3)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color=GREY, alpha=0.3, linewidth=0.5)
    axis.set_axisbelow(True)
