"""Curves with bands, and values against a parameter with error bars."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite
from cryingan.plots.series import Series, draw_band, draw_points, handle, looks_of, plain_numbers, set_limits
from cryingan.plots.style import COLUMN_WIDTH, FONT_SIZE, broken, legend_above, new_figure, readable, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panels = Mapping[str, Mapping[str, Series]]
MANY = 30  # points, above which a series has a band instead of markers and error bars
APART, WIDEST = 2.5, 8  # points, between the error bars of two series at one place, and of all of them


@style()
def curve_figure(panels: Panels, xlabel: str, ylabel: str, *, share_y: bool = True) -> Figure:
    """Draw curves with confidence bands, a panel for each pair or species: RDFs and bond angles (SI Figs. S7, S34).

    Args:
        panels: for each title the curves by label; those of the first label, the reference, are black.
        xlabel: with its unit.
        ylabel: likewise.
        share_y: one scale for all panels.
    """
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = math.ceil(len(panels) / columns)
    size = {"height": 2.3 if len(panels) == 1 else 1.6, "width": COLUMN_WIDTH if columns < 3 else None}
    figure = new_figure(columns, rows, **size, sharex=True, sharey=share_y)
    looks = looks_of((label for curves in panels.values() for label in curves), reference_first=True)
    for axis, (title, curves) in zip(figure.axes, panels.items(), strict=False):
        for label, curve in curves.items():
            draw_band(axis, curve, looks[label])
        axis.set_title(title)
    for axis in figure.axes[len(panels) :]:
        axis.set_axis_off()
    for axis in figure.axes[len(panels) - columns : len(panels)]:
        axis.tick_params(labelbottom=True)
    _limit_curves(figure, panels, share_y)
    figure.supxlabel(xlabel, fontsize=FONT_SIZE)
    figure.supylabel(ylabel, fontsize=FONT_SIZE)
    legend_above(figure, [handle(label, look, marker=False) for label, look in looks.items()])
    return figure


@style()
def parameter_figure(panels: Panels, xlabel: str, *, log_x: bool = False, log_y: bool = False) -> Figure:
    """Draw values against a parameter, an epoch or a number of structures (SI Figs. S12, S15, S25-S27).

    Each quantity has a panel. Up to 30 points have markers and error bars, more have a band.

    Args:
        panels: for each quantity (with its unit) the series by label, such as models or runs.
        xlabel: the parameter.
        log_x: logarithmic scale, with a place for 0 at its left end where it is among the values.
        log_y: logarithmic scale of all quantities; values that are not positive are left out.
    """
    looks = looks_of(label for series in panels.values() for label in series)
    apart = min(APART, WIDEST / len(looks))
    places = {label: apart * (i - (len(looks) - 1) / 2) for i, label in enumerate(looks)}
    many = any(len(one.x) > MANY for series in panels.values() for one in series.values())
    figure = new_figure(1, len(panels), height=2.3 if len(panels) == 1 else 1.6, sharex=True)
    for axis, (quantity, series) in zip(figure.axes, panels.items(), strict=True):
        if log_y:
            axis.set_yscale("log")
            plain_numbers(axis, "y")
        for label, one in series.items():
            one = _positive(one) if log_y else one
            if many:
                draw_band(axis, one, looks[label])
            else:
                draw_points(axis, one, looks[label], places[label])
        values = np.concatenate([one.extent() for one in series.values()])
        set_limits(axis, "y", values[values > 0] if log_y else values)
        axis.set_ylabel(readable(broken(quantity, axis.figure.get_figheight() / len(panels) * 0.75)))
    _limit_parameter(figure, panels, log_x)
    figure.axes[-1].set_xlabel(xlabel)
    figure.align_ylabels()
    if len(looks) > 1:
        legend_above(figure, [handle(label, look, marker=not many) for label, look in looks.items()])
    return figure


def _positive(series: Series) -> Series:
    """A series for a logarithmic axis: interval ends that are not positive lie far below it."""
    value = np.where(np.asarray(series.value) > 0, series.value, np.nan)
    low = None if series.low is None else np.where(np.asarray(series.low) > 0, series.low, np.finfo(float).tiny)
    return Series(series.x, value, low, series.high)


def _limit_curves(figure: Figure, panels: Panels, share_y: bool) -> None:
    everything = [curve for curves in panels.values() for curve in curves.values()]
    for axis, curves in zip(figure.axes, panels.values(), strict=False):
        limiting = everything if share_y else curves.values()
        x = np.concatenate([finite(curve.x) for curve in limiting])
        values = np.concatenate([finite(curve.value) for curve in limiting])
        top = np.concatenate([curve.extent() for curve in limiting]).max(initial=0) or 1.0
        axis.set(xlim=(x.min(), x.max()), ylim=(1.05 * values.min(initial=0), 1.05 * top))


def _limit_parameter(figure: Figure, panels: Panels, log_x: bool) -> None:
    x = np.concatenate([finite(one.x) for series in panels.values() for one in series.values()])
    axis = figure.axes[-1]
    if log_x and x.min() > 0:
        axis.set_xscale("log")
        plain_numbers(axis, "x")
    elif log_x:
        axis.set_xscale("symlog", linthresh=x[x > 0].min(initial=1.0), linscale=0.5)
    set_limits(axis, "x", x)
