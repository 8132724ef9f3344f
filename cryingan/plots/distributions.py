"""Distributions of several sets of structures in one figure: curves, and shares of motifs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite
from cryingan.plots.motifs import motif_name
from cryingan.plots.series import Look, Series, draw_band, handle, looks_of
from cryingan.plots.style import broken, error_lines, legend_above, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
NAMES = 1.1  # inch, of motifs beside their bars
BARS = 0.8  # thickness of all bars of a motif, in units of the distance between two motifs
HIGHEST = 3  # times what the reference has: a curve beyond that leaves the panel


@dataclass(frozen=True, eq=False)
class Distribution:
    """One quantity of several sets.

    Attributes:
        sets: by name, the reference first; of motifs `x` counts them from 0.
        xlabel: with its unit.
        ylabel: likewise; empty for motifs.
        motifs: names such as `tetrahedral CN_4`, whose shares are bars; empty for a curve.
    """

    sets: Mapping[str, Series]
    xlabel: str
    ylabel: str = ""
    motifs: Sequence[str] = ()


@style()
def distribution_figure(distributions: Sequence[Distribution]) -> Figure:
    """Draw a panel for each distribution, the reference in black (SI Figs. S3 and S7, of any number of generators).

    Args:
        distributions: of the same sets.
    """
    columns = min(len(distributions), COLUMNS)
    rows = math.ceil(len(distributions) / columns)
    names = list(distributions[0].sets)
    most = max(len(one.motifs) for one in distributions)
    figure = new_figure(columns, rows, height=max(2.3, 0.5 + 0.1 * most * (len(names) + 1)))
    looks = looks_of(names, reference_first=True)
    for axis, one in zip(figure.axes, distributions, strict=False):
        (_draw_bars if one.motifs else _draw_curves)(axis, one, looks)
        axis.set(xlabel=one.xlabel, ylabel=one.ylabel)
    for axis in figure.axes[len(distributions) :]:
        axis.set_axis_off()
    legend_above(figure, [handle(name, look, marker=False) for name, look in looks.items()])
    return figure


def _draw_curves(axis: Axes, one: Distribution, looks: Mapping[str, Look]) -> None:
    for name, series in one.sets.items():
        draw_band(axis, series, looks[name])
    reference, *_ = one.sets.values()
    top = max((series.extent().max(initial=0) for series in one.sets.values()), default=0)
    x = finite(reference.x)
    axis.set(xlim=(min(x.min(), 0), x.max()), ylim=(0, 1.05 * min(top, HIGHEST * finite(reference.value).max()) or 1.0))


def _draw_bars(axis: Axes, one: Distribution, looks: Mapping[str, Look]) -> None:
    width = BARS / len(one.sets)
    for number, (name, series) in enumerate(one.sets.items()):
        places = series.x + width * (number - (len(one.sets) - 1) / 2)
        axis.barh(places, series.value, width, color=looks[name].color)
        if series.low is not None and series.high is not None:
            error_lines(axis, places, series.low, series.high, "black", horizontal=True)
    axis.set_yticks(range(len(one.motifs)), [broken(motif_name(motif), NAMES) for motif in one.motifs])
    axis.set_ylim(len(one.motifs) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    ends = np.concatenate([series.extent() for series in one.sets.values()])
    axis.set_xlim(0, 1.05 * ends.max(initial=0) or 1.0)
