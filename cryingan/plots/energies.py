"""Distributions of energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite, limits_without_outliers, padded
from cryingan.plots.style import BLACK, BLUE, FONT_SIZE, GREY, ORANGE, legend_above, new_figure, readable, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_HEIGHT = 1.3 * FONT_SIZE  # points


@dataclass(frozen=True, eq=False)
class _Distribution:
    label: str
    color: str
    style: str
    energies: np.ndarray
    total: int  # structures, those without an energy included


@style()
def energy_figure(
    generated: np.ndarray,
    training: np.ndarray | None,
    n_generated: int,
    unit: str,
    thresholds: Sequence[float] = (0.0,),
    *,
    unrelaxed: np.ndarray | None = None,
    random: np.ndarray | None = None,
    out_of_time: int = 0,
    quantity: str = "energy",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw distributions of energies (SI Fig. S14), each in percent of all its structures.

    The share of each set beyond the axis is written at the axis' ends in the set's colour. The legend gives the share
    of generated structures without energy, and how much of it is for lack of time.

    Args:
        generated: relaxed energies of generated structures, in `unit`; NaN is no energy.
        training: of the training structures; None where there are none.
        n_generated: number of generated structures, including those without an energy.
        unit: of the energies; thresholds and limits are in it too.
        thresholds: dashed lines, where the axis comes near them.
        unrelaxed: energies of the generated structures before relaxation.
        random: energies of structures with atoms at random.
        out_of_time: generated structures that have no energy because their relaxation ran out of time.
        quantity: name of the axis.
        limits: of the axis; else it holds the training set without extreme outliers, and the generated structures up
            to two widths of the training set beyond it; all but extreme outliers where most lie further out.
    """
    generated, training = finite(generated), finite(training)
    low, high = limits or energy_limits(training, generated, thresholds)
    lost = f" ({1 - len(generated) / n_generated:.1%} without energy" if len(generated) < n_generated else ""
    lost += f", {out_of_time / n_generated:.1%} out of time" if out_of_time else ""
    sets = [
        _Distribution("training set", BLACK, "-", training, len(training)),
        _Distribution(f"generated{lost})" if lost else "generated", BLUE, "-", generated, n_generated),
        _Distribution("unrelaxed", ORANGE, "--", finite(unrelaxed), len(finite(unrelaxed))),
        _Distribution("random", GREY, ":", finite(random), len(finite(random))),
    ]
    sets = [one for one in sets if one.total]
    figure = new_figure(1, 1, height=2.5)
    [axis] = figure.axes
    edges = np.linspace(low, high, number_of_bins(len(generated)) + 1)
    lines = [_draw(axis, one, edges) for one in sets]
    _write_beyond(axis, sets, low, high)
    for threshold in thresholds:
        if low <= threshold <= high:
            axis.axvline(threshold, color=GREY, linestyle="--", linewidth=0.8, zorder=0)
    axis.set_xlim(low, high)
    axis.locator_params(axis="x", nbins=6)
    axis.set_xlabel(f"{quantity} ({readable(unit)})")
    axis.set_ylabel("structures (%)")
    legend_above(figure, lines)
    return figure


def energy_limits(training: np.ndarray, generated: np.ndarray, thresholds: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis for finite energies, either of which may be none."""
    core = training if len(training) else generated
    if not len(core):
        return padded(min(thresholds, default=0.0), max(thresholds, default=0.0))
    low, high = limits_without_outliers(core)
    width = max(high - low, 1e-3)
    reach = low - 2 * width, high + 2 * width
    if len(generated):
        ends = limits_without_outliers(generated)
        if ((generated >= reach[0]) & (generated <= reach[1])).mean() >= 0.5:
            ends = np.clip(ends, *reach)
        low, high = min(low, ends[0]), max(high, ends[1])
    near = [threshold for threshold in thresholds if reach[0] <= threshold <= reach[1]]
    return padded(min(low, *near, high), max(low, *near, high))


def number_of_bins(structures: int) -> int:
    """Bins of a histogram that stays readable: few for few structures."""
    return int(np.clip(2 * np.sqrt(structures), 15, 40))


def _draw(axis: Axes, one: _Distribution, edges: np.ndarray) -> object:
    share = np.histogram(one.energies, edges)[0] / one.total * 100
    if one.color in (BLACK, BLUE):
        axis.stairs(share, edges, color=one.color, fill=True, alpha=0.12)
    axis.stairs(share, edges, baseline=None, color=one.color, linestyle=one.style, linewidth=1.2)
    return axis.plot([], [], color=one.color, linestyle=one.style, label=one.label)[0]


def _write_beyond(axis: Axes, sets: Sequence[_Distribution], low: float, high: float) -> None:
    lines = [0, 0]
    for one in sets:
        for end, count in enumerate(((one.energies < low).sum(), (one.energies > high).sum())):
            if count:
                text = "<0.1%" if count / one.total < 0.0005 else f"{count / one.total:.1%}"
                look = {"color": one.color, "ha": "right" if end else "left", "va": "top"}
                offset = (2 - 4 * end, -LINE_HEIGHT * lines[end])
                place = {"xytext": offset, "xycoords": "axes fraction", "textcoords": "offset points"}
                axis.annotate(f"{text} →" if end else f"← {text}", (end, 1), **place, **look)
                lines[end] += 1
    peak = max((patch.get_data().values.max() for patch in axis.patches), default=0.0) or 1.0
    room = 72 * axis.figure.get_figheight() * 0.75  # points that the panel is about high
    axis.set_ylim(0, peak / (0.95 - LINE_HEIGHT * max(lines) / room))
