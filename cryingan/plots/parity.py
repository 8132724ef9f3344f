"""Predicted against reference values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import limits_without_outliers, padded
from cryingan.plots.style import BLUE, FONT_SIZE, GREY, broken, new_figure, readable, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 2000  # points, above which a vector file holds them as pixels
COLUMNS = 3
MOST_TICKS = 5
SIDES = (2.5, 2.5, 1.7)  # inch, of one of 1, 2 or 3 panels beside each other


@dataclass(frozen=True, eq=False)
class Parity:
    """Reference and predicted values of a quantity, of one shape, in `unit`.

    Attributes:
        mae: mean absolute error in `error_unit`.
        spearman: rank correlation; NaN where it is undefined.
    """

    reference: np.ndarray
    predicted: np.ndarray
    unit: str
    mae: float
    error_unit: str
    spearman: float


@style()
def parity_figure(quantities: Mapping[str, Parity], methods: tuple[str, str] = ("reference", "predicted")) -> Figure:
    """Draw predicted against reference values, a panel for each quantity with its errors above.

    Points more than ten interquartile ranges off are counted instead of shown. `methods` names the reference and what
    predicts it.
    """
    columns = min(len(quantities), COLUMNS)
    rows = -(-len(quantities) // columns)
    side = SIDES[columns - 1]
    figure = new_figure(columns, rows, height=side + 0.8)
    for axis, (name, parity) in zip(figure.axes, quantities.items(), strict=False):
        _draw_panel(axis, parity)
        axis.set_xlabel(broken(f"{methods[0]} {name} ({readable(parity.unit)})", side))
        axis.set_ylabel(broken(f"{methods[1]} {name} ({readable(parity.unit)})", side))
    for axis in figure.axes[len(quantities) :]:
        axis.set_axis_off()
    figure.draw_without_rendering()  # the layout of square panels needs their size first
    for axis in figure.axes[: len(quantities)]:
        _set_ticks(axis)
    figure.draw_without_rendering()
    return figure


def _draw_panel(axis: Axes, parity: Parity) -> None:
    points = np.stack([np.ravel(parity.reference), np.ravel(parity.predicted)]).astype(np.float64)
    known = np.isfinite(points).all(axis=0)
    ends = np.array([limits_without_outliers(row[known]) for row in points]) if known.any() else np.array([[0.0, 1.0]])
    low, high = padded(ends.min(), ends.max())
    shown = ((points >= low) & (points <= high)).all(axis=0)
    axis.axline((low, low), slope=1, color=GREY, linestyle="--", linewidth=0.8)
    many = shown.sum() > MANY
    size, alpha = (1.5, 0.2) if many else (3, 0.6)
    dots = {"markersize": size, "alpha": alpha, "markeredgewidth": 0, "rasterized": many}
    axis.plot(*points[:, shown], "o", color=BLUE, **dots)
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    lines = [f"MAE {parity.mae:.3g} {readable(parity.error_unit)}"] if np.isfinite(parity.mae) else []
    lines += [f"Spearman {parity.spearman:.3f}"] if np.isfinite(parity.spearman) else []
    lines += [f"{(~shown).sum()} not shown"] if not shown.all() else []
    axis.set_title("\n".join(lines), loc="left")


def _set_ticks(axis: Axes) -> None:
    """The same ticks on both axes, so few that their labels do not touch; none whose label hangs over the end."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_xlim()
    gap = FONT_SIZE / 2 * axis.figure.dpi / 72
    for most in range(MOST_TICKS, 0, -1):
        ticks = MaxNLocator(most).tick_values(low, high)
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        axis.set(xticks=ticks, yticks=ticks)
        boxes = [label.get_window_extent() for label in axis.get_xticklabels()]
        while len(boxes) > 1 and boxes[-1].x1 > axis.bbox.x1 + gap / 2:
            boxes.pop()
        if all(right.x0 - left.x1 > gap for left, right in pairwise(boxes)):
            break
    axis.set(xticks=ticks[: len(boxes)], yticks=ticks[: len(boxes)])
