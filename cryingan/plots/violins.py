"""Distributions of short-range order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite, limits_without_outliers, padded
from cryingan.plots.style import BLACK, BLUE, COLUMN_WIDTH, GREY, PAGE_WIDTH, legend_above, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

IN_COLUMN, IN_PAGE, UPRIGHT = 6, 12, 28  # pairs whose names fit beside each other, the last if written upwards
GAP, HALF = 0.03, 0.42  # in units of the distance between two violins
POINTS = 200
VISIBLE = 0.02  # of the axis: smallest distance of quartiles that are drawn


@style()
def sro_figure(training: np.ndarray, generated: np.ndarray, pairs: Sequence[str]) -> Figure:
    """Draw violins of Warren-Cowley parameters, the training set's half on the left (SI Fig. S1).

    Halves are kernel densities of equal width within the range of the data, with lines at the median and the quartiles.
    A parameter that is the same for all structures is one line; NaN is left out. Values more than ten interquartile
    ranges off have no influence on the axis; what lies beyond it is counted at its end.

    Args:
        training: shape (structures, shells, pairs).
        generated: likewise, of other structures.
        pairs: their names, such as Cr-Fe.
    """
    from matplotlib.patches import Patch

    at_once = math.ceil(len(pairs) / math.ceil(len(pairs) / UPRIGHT))
    rows = [slice(start, start + at_once) for start in range(0, len(pairs), at_once)]
    panels = [(shell, some) for shell in range(training.shape[1]) for some in rows]
    width = COLUMN_WIDTH if at_once <= IN_COLUMN else PAGE_WIDTH
    figure = new_figure(1, len(panels), height=1.9, width=width)
    for axis, (shell, some) in zip(figure.axes, panels, strict=True):
        _draw_panel(axis, training[:, shell, some], generated[:, shell, some], at_once)
        axis.set_xticks(range(len(pairs[some])), pairs[some], rotation=90 if at_once > IN_PAGE else 0)
        axis.set_title(f"shell {shell + 1}", loc="left")
        axis.set_ylabel("SRO parameter")
    halves = (("training set", BLACK, GREY), ("generated", BLUE, BLUE))
    legend_above(figure, [Patch(facecolor=(face, 0.35), edgecolor=edge, label=label) for label, edge, face in halves])
    return figure


def _draw_panel(axis: Axes, training: np.ndarray, generated: np.ndarray, places: int) -> None:
    shown = [limits_without_outliers(column) for column in map(finite, [*training.T, *generated.T]) if len(column)]
    low, high = padded(min(low for low, _ in shown), max(high for _, high in shown)) if shown else (-1.0, 1.0)
    axis.set_ylim(low, high)
    axis.set_xlim(-0.5, min(places, training.shape[1]) - 0.5)
    axis.axhline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
    for place in range(training.shape[1]):
        _draw_half(axis, place, finite(training[:, place]), -1, BLACK, GREY)
        _draw_half(axis, place, finite(generated[:, place]), 1, BLUE, BLUE)


def _draw_half(axis: Axes, place: int, values: np.ndarray, side: int, edge: str, face: str) -> None:
    if not len(values):
        return
    ends = axis.get_ylim()
    inside = values[(values >= ends[0]) & (values <= ends[1])]
    low, high = inside.min(), inside.max()
    start = place + side * GAP
    line = {"color": edge, "linewidth": 0.8}
    if high - low <= 1e-9 * max(abs(low), abs(high), 1.0):
        axis.hlines(inside[0], *sorted((start, place + side * HALF)), **line | {"linewidth": 1.5})
    else:
        from scipy.stats import gaussian_kde

        grid = np.linspace(low, high, POINTS)
        density = gaussian_kde(inside)(grid)
        reach = start + side * (HALF - GAP) * density / density.max()
        axis.fill_betweenx(grid, start, reach, facecolor=(face, 0.35), edgecolor=edge, linewidth=0.8)
        quartiles = np.percentile(inside, (25, 50, 75))
        seen = quartiles[2] - quartiles[0] > VISIBLE * (ends[1] - ends[0])
        for value, dashes in zip(quartiles, (":", "-", ":") if seen else ("", "-", ""), strict=True):
            axis.hlines(value, *sorted((start, np.interp(value, grid, reach))), linestyle=dashes, **line)
    look = {"transform": axis.get_xaxis_transform(), "color": edge, "ha": "center"}
    for at, arrow, vertical, beyond in ((0, "↓", "bottom", values < ends[0]), (1, "↑", "top", values > ends[1])):
        if beyond.any():
            axis.text(place + side * HALF / 2, at, f"{beyond.sum()}{arrow}", va=vertical, **look)
