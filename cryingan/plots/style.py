"""One style for every figure: size, fonts, colours, legends, and how a figure is written."""

from __future__ import annotations

import io
import logging
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.storage.atomic import replace_file

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

COLUMN_WIDTH, PAGE_WIDTH = 3.4, 7.0  # inch, of a journal
FONT_SIZE = 8  # points
CHARACTER = 0.06  # inch, mean width of a letter in this size
DPI = 300
# Colours that colour-blind readers can distinguish (Okabe and Ito); yellow is left out, as it is faint on white.
BLACK, GREY = "#000000", "#777777"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY = "#E69F00", "#56B4E9"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = "osD^vPX"
LINES = ("-", "--", ":", "-.")
STYLE = {
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "legend.frameon": False,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # text that can be searched and edited
    "svg.hashsalt": "cryingan",  # the same figure gives the same bytes
}
DATELESS = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style, whatever the user's own settings are: a context, and a decorator of functions."""
    from matplotlib.style import context

    with context(["default", STYLE]):
        yield


@style()
def new_figure(columns: int, rows: int, height: float = 2.2, width: float | None = None, **shared: bool) -> Figure:
    """Return a figure of columns x rows panels in the project's style, without the global state of pyplot.

    The height is that of one row, the width that of the figure, in inch: by default that of a journal's column for a
    single panel, of its page for several. `shared` are `sharex` and `sharey` of the panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = width or (COLUMN_WIDTH if columns == 1 else PAGE_WIDTH)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.subplots(rows, columns, squeeze=False, **shared)
    for axis in figure.axes:
        axis.tick_params(labelsize=FONT_SIZE)  # ticks are made when they are first drawn, maybe in another style
    return figure


@style()
def save_figure(figure: Figure, path: str | Path, vector: str = "") -> None:
    """Write a figure as PNG, and as vector graphics beside it (`pdf` or `svg`) where asked for; whole or not at all.

    Both are drawn before either is written. The same figure gives the same bytes.

    Raises:
        CryinGANError: a file cannot be written.
    """
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs at length how it embeds fonts
    drawn = {}
    for suffix in filter(None, ("png", vector)):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=DPI, metadata=DATELESS[suffix])
        drawn[Path(path) if suffix == "png" else Path(path).with_suffix(f".{suffix}")] = buffer.getvalue()
    for target, content in drawn.items():
        with replace_file(target) as file:
            file.write(content)


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend over the panels, read line by line, for which the figure grows; long labels are broken."""
    if not handles:
        return
    labels = [broken(handle.get_label(), figure.get_figwidth() - 0.5) for handle in handles]
    for columns in range(min(len(handles), 6), 0, -1):
        lines = [i for column in range(columns) for i in range(column, len(handles), columns)]
        ordered = [handles[i] for i in lines], [labels[i] for i in lines]
        legend = figure.legend(*ordered, loc="outside upper left", ncols=columns)
        size = legend.get_window_extent(figure.canvas.get_renderer())
        if columns == 1 or size.width < figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + size.height / figure.dpi)


def broken(text: str, width: float) -> str:
    """Text broken into lines of a width in inch."""
    return textwrap.fill(text, max(int(width / CHARACTER), 6), break_on_hyphens=False)


def readable(text: str) -> str:
    """A unit or the name of a metric as it is printed: J/m², eV/Å, d with its index, failed (%)."""
    text = text.replace("^2", "²").replace("^3", "³").replace("Angstrom", "Å")
    text = re.sub(r"\bpercent_(\w+)", lambda match: match[1].replace("_", " ") + " (%)", text)
    return re.sub(r"\bd_(\w+)", r"$d_\\mathrm{\1}$", text)


def error_lines(
    axis: Axes,
    at: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    color: str,
    *,
    horizontal: bool = False,
    transform: Transform | None = None,
) -> None:
    """Lines from low to high with caps; unlike `errorbar` for intervals that need not hold the value."""
    draw, marker = (axis.hlines, "|") if horizontal else (axis.vlines, "_")
    look = {"color": color, "transform": transform or axis.transData}
    draw(at, low, high, linewidth=0.8, **look)
    for end in (low, high):
        points = (end, at) if horizontal else (at, end)
        axis.plot(*points, linestyle="", marker=marker, markersize=4, markeredgewidth=0.8, **look)
