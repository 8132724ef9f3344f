"""Values along an axis with their intervals: how they look and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryingan.plots.limits import finite, padded
from cryingan.plots.style import BLACK, COLORS, LINES, MARKERS, error_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


@dataclass(frozen=True, eq=False)
class Series:
    """Values along an axis, all of shape (points,).

    Attributes:
        x: ascending.
        value: NaN leaves a gap.
        low: lower ends of intervals, or the smallest of several runs; None where there are none.
        high: upper ends, or the largest.
    """

    x: np.ndarray
    value: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def extent(self) -> np.ndarray:
        """All finite values and ends of intervals."""
        return np.concatenate([finite(self.value), finite(self.low), finite(self.high)])


class Look(NamedTuple):
    """Colour, marker and line of a series."""

    color: str
    marker: str
    line: str


def looks_of(labels: Iterable[str], reference_first: bool = False) -> dict[str, Look]:
    """Return a look for every label; that of a reference, the first label, is black and without marker."""
    labels = list(dict.fromkeys(labels))
    colors = (BLACK, *(color for color in COLORS if color != BLACK)) if reference_first else COLORS
    turns = [(i % len(colors), i // len(colors)) for i in range(len(labels))]
    looks = (Look(colors[i], MARKERS[(i + turn) % len(MARKERS)], LINES[turn % len(LINES)]) for i, turn in turns)
    return dict(zip(labels, looks, strict=True))


def handle(label: str, look: Look, marker: bool) -> Line2D:
    """Return the handle of a series in the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.color, linestyle=look.line, marker=look.marker if marker else "", label=label)


def draw_band(axis: Axes, series: Series, look: Look) -> None:
    """Draw a line, and the interval around it as a band."""
    if series.low is not None and series.high is not None:
        axis.fill_between(series.x, series.low, series.high, color=look.color, alpha=0.25, linewidth=0)
    alone = "." if np.isfinite(series.value).sum() == 1 else ""  # a line of one point would not be seen
    axis.plot(series.x, series.value, color=look.color, linestyle=look.line, marker=alone)


def draw_points(axis: Axes, series: Series, look: Look, offset: float) -> None:
    """Draw markers joined by a line, with error bars, moved to the right by some points."""
    from matplotlib.transforms import ScaledTranslation

    moved = axis.transData + ScaledTranslation(offset / 72, 0, axis.figure.dpi_scale_trans)
    if series.low is not None and series.high is not None:
        error_lines(axis, series.x, series.low, series.high, look.color, transform=moved)
    axis.plot(series.x, series.value, color=look.color, marker=look.marker, linestyle=look.line, transform=moved)


def set_limits(axis: Axes, name: str, values: np.ndarray) -> None:
    """Set limits of axis `x` or `y` with a margin around the values, on the scale of the axis."""
    scale = getattr(axis, f"{name}axis").get_transform()
    ends = scale.transform([values.min(), values.max()]) if len(values) else (0.0, 1.0)
    axis.set(**{f"{name}lim": scale.inverted().transform(padded(*ends))})


def plain_numbers(axis: Axes, name: str) -> None:
    """Write 20 instead of 2 x 10^1 on the logarithmic axis `x` or `y`."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, value: float, position: int | None = None) -> str:
            return f"{value:g}" if super().__call__(value, position) else ""

    formatted = getattr(axis, f"{name}axis")
    formatted.set_major_formatter(Plain())
    formatted.set_minor_formatter(Plain(minor_thresholds=(1, 0.4)))
