"""Curves of a training from its metrics.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite
from cryingan.plots.style import BLACK, COLORS, FONT_SIZE, GREY, broken, error_lines, legend_above, new_figure, style
from cryingan.plots.training_panels import SHARE, Panel, panels_of
from cryingan.storage.fraction_keys import OUT_OF_TIME, current_key, random_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
MANY = 30  # points, above which a curve has a band instead of markers and error bars
WIDE = 20  # close pairs or another number, above which its axis is logarithmic
TITLE = 2.0  # inch, that a line of a title takes at most
BELOW = 0.05  # of an axis, below 0 and above the largest value
ROW = 0.2  # of the height of a panel, that a line of a legend takes at most
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Reference:
    """Values by key that are drawn as horizontal lines."""

    name: str
    values: Mapping[str, float]
    color: str  # of a line that is alone in its panel
    style: str


def read_metrics(path: str | Path) -> dict[str, Curve]:
    """Return for every key of a metrics.csv, as it is written today, the epochs that have it, and its values."""
    text = Path(path).read_text()
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))  # without a row that a kill cut short
    curves = {}
    for name in rows[0] if rows else ():
        points = [(int(row["epoch"]), float(row[name])) for row in rows if row[name]]
        curves[current_key(name)] = tuple(np.array(points).reshape(-1, 2).T)
    return curves


@style()
def training_figure(
    metrics: str | Path,
    random: Mapping[str, float],
    random_title: str = "random",
    training: Mapping[str, float] | None = None,
    before: Mapping[str, float] | None = None,
    unit: str = "",
) -> Figure:
    """Draw what was learnt against epochs: low energies first, else precision and recall or close pairs; losses last.

    The first panel is the widest, and no place is empty: only what was logged has a panel. Beside low energies stands
    the share of samples whose relaxation ran out of time, where there are any.

    Args:
        metrics: the metrics.csv of a run.
        random: by key the value of random structures, a dashed line.
        random_title: their name in the legend.
        training: likewise of the training set, a dotted line.
        before: likewise before training, where curves begin, at epoch 0.
        unit: of the thresholds of energies.
    """
    curves = {key: curve for key, curve in read_metrics(metrics).items() if len(finite(curve[1]))}
    if OUT_OF_TIME in curves and not max(*curves[OUT_OF_TIME][1], (before or {}).get(OUT_OF_TIME, 0)):
        del curves[OUT_OF_TIME]
    panels = panels_of(curves, unit)
    of_random = {random_key(percent): percent / 100 for percent in (50, 10, 1)} | dict(random)
    references = [
        _Reference("training set", training or {}, BLACK, ":"),
        _Reference(random_title, of_random, GREY, "--"),
    ]
    figure = _empty_figure(len(panels))
    for axis, panel in zip(figure.axes, panels, strict=False):
        for line, color in zip(panel.lines, COLORS, strict=False):
            _draw_curve(axis, curves, line.key, (before or {}).get(line.key), color)
            _draw_references(axis, references, line.key, color if len(panel.lines) > 1 else None)
        _finish(axis, panel)
    _add_legend(figure, references)
    return figure


def _empty_figure(panels: int) -> Figure:
    """Panels in rows of three; of more than three the first is two or three wide, and the second where it has to be."""
    spans = [1] * max(panels, 1)
    if panels > COLUMNS:
        spare = -panels % COLUMNS or COLUMNS
        spans[:2] = min(1 + spare, COLUMNS), max(1, spare - 1)
    columns = min(sum(spans), COLUMNS)
    figure = new_figure(columns, sum(spans) // columns, height=1.9)
    grid, places = figure.axes[0].get_gridspec(), np.cumsum([0, *spans])
    for axis, place, span in zip(figure.axes, places, spans, strict=False):
        axis.set_subplotspec(grid[place // columns, place % columns : place % columns + span])
    for axis in figure.axes[len(spans) :]:
        axis.remove()
    if not panels:
        figure.axes[0].set_axis_off()
    return figure


def _draw_curve(axis: Axes, curves: Mapping[str, Curve], key: str, before: float | None, color: str) -> None:
    """A curve with its intervals; what was before training is a hollow point."""
    epochs, values = curves[key][0] + 1, curves[key][1]
    few = len(values) < MANY
    axis.plot(epochs, values, color=color, marker="." if few else None)
    ends = [dict(zip(*curves.get(f"{key}_{end}", ((), ())), strict=True)) for end in ("low", "high")]
    low, high = (np.array([of.get(epoch - 1, np.nan) for epoch in epochs]) for of in ends)
    if few and np.isfinite(low).any():
        error_lines(axis, epochs, low, high, color)
    elif np.isfinite(low).any():
        axis.fill_between(epochs, low, high, color=color, alpha=0.25, linewidth=0)
    if before is not None:
        hollow = {"marker": "o", "markerfacecolor": "white", "markevery": [0], "clip_on": False}
        axis.plot([0, epochs[0]], [before, values[0]], color=color, **hollow)


def _draw_references(axis: Axes, references: Sequence[_Reference], key: str, color: str | None) -> None:
    for reference in references:
        if key in reference.values:
            look = {"color": color or reference.color, "linestyle": reference.style, "linewidth": 0.9}
            axis.axhline(reference.values[key], label=reference.name, **look)


def _finish(axis: Axes, panel: Panel) -> None:
    """Title, names and limits of the axes, and a legend where there are several curves."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    alone = len(panel.lines) == 1
    axis.set_title(broken(panel.lines[0].title if alone else panel.title, TITLE))
    axis.set_xlabel("epoch")
    axis.set_ylabel(panel.ylabel)
    axis.set_xlim(left=0)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if panel.ylabel == SHARE:
        axis.set_ylim(-BELOW, 1 + BELOW)
    elif panel.from_zero:
        _limit_from_zero(axis)
    if not alone:
        handles = [
            Line2D([], [], color=color, label=line.label) for line, color in zip(panel.lines, COLORS, strict=False)
        ]
        look = {"frameon": True, "framealpha": 0.8, "edgecolor": "none"}
        shares = panel.ylabel == SHARE  # their axis has all values already
        if not shares:
            low, high = axis.get_ylim()
            axis.set_ylim(low, low + (high - low) / (1 - ROW * len(handles)))
        place = "best" if shares else "upper right"
        axis.legend(handles=handles, loc=place, fontsize=FONT_SIZE - 1, **look).set_in_layout(False)


def _limit_from_zero(axis: Axes) -> None:
    """Limits of an axis of numbers that are not negative, on which a line at 0 is seen."""
    from matplotlib.ticker import StrMethodFormatter

    top = axis.dataLim.y1 or 1.0
    if top > WIDE:
        axis.set_yscale("symlog", linthresh=1)
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_ylim(-BELOW if top > WIDE else -BELOW * top, 1.5 * top if top > WIDE else (1 + BELOW) * top)


def _add_legend(figure: Figure, references: Sequence[_Reference]) -> None:
    from matplotlib.lines import Line2D

    drawn = {line.get_label() for axis in figure.axes for line in axis.lines}
    handles = [Line2D([], [], color=one.color, linestyle=one.style, label=one.name) for one in references]
    legend_above(figure, [handle for handle in handles if handle.get_label() in drawn])
