"""Shares of coordination motifs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.limits import finite
from cryingan.plots.style import BLACK, BLUE, COLUMN_WIDTH, broken, error_lines, legend_above, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NARROW = 1.25  # inch, of names beside two panels
BAR = 0.4  # thickness, in units of the distance between two motifs
DENSE = 25  # motifs, above which there is one line for each
OUTLINE = {"edgecolor": BLACK, "linewidth": 0.3}
AROUND = 0.5  # inch, of what is below and above the bars


@style()
def motif_figure(
    motifs: Sequence[str],
    training: np.ndarray,
    generated: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    *,
    species: str = "",
) -> Figure:
    """Draw bars of the most likely motifs, the training set's above the generated one's (SI Figs. S3, S18).

    Args:
        motifs: names such as `octahedral CN_6`, the first at the top.
        training: percent of atoms, shape (motifs,).
        generated: likewise; NaN leaves the bar out.
        low: lower ends of the generated ones' intervals, likewise.
        high: upper ends.
        species: of the atoms, named at the axis.
    """
    figure = new_figure(1, 1, height=_height(motifs))
    [axis] = figure.axes
    places = np.arange(len(motifs))
    bars = [
        axis.barh(places - BAR / 2, training, BAR, color=BLACK, label="training set"),
        axis.barh(places + BAR / 2, generated, BAR, color=BLUE, label="generated"),
    ]
    ends = [training, generated]
    if low is not None and high is not None:
        error_lines(axis, places + BAR / 2, low, high, BLACK, horizontal=True)
        ends.append(high)
    _finish(figure, [motif_name(motif) for motif in motifs], ends, species)
    legend_above(figure, bars)
    return figure


@style()
def motif_neighbor_figure(
    motifs: Sequence[str], training: np.ndarray, generated: np.ndarray, *, neighbor: str = "Cl", species: str = ""
) -> Figure:
    """Draw bars of `motif_figure`, stacked by how many neighbours are of one species (SI Figs. S18, S33).

    Args:
        motifs: names such as `octahedral CN_6`, the first at the top.
        training: percent of atoms with 0, 1, 2 ... such neighbours, shape (motifs, numbers).
        generated: likewise.
        neighbor: the species that is counted.
        species: of the atoms, named at the axis.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    numbers = training.shape[1]
    colors = colormaps["viridis"](np.linspace(0, 1, numbers))
    figure = new_figure(2, 1, height=_height(motifs) + 0.2, width=COLUMN_WIDTH, sharex=True, sharey=True)
    for axis, shares, title in zip(figure.axes, (training, generated), ("training set", "generated"), strict=True):
        shares = np.nan_to_num(shares)
        starts = np.cumsum(shares, axis=1) - shares
        for number, color in enumerate(colors):
            axis.barh(np.arange(len(motifs)), shares[:, number], 0.7, starts[:, number], color=color, **OUTLINE)
        axis.set_title(title)
    names = [motif_name(motif) for motif in motifs]
    if len(motifs) <= DENSE:
        names = [broken(name, NARROW) for name in names]
    _finish(figure, names, [np.nansum(training, axis=1), np.nansum(generated, axis=1)], species)
    legend_above(figure, [Patch(facecolor=c, label=f"{n} {neighbor}", **OUTLINE) for n, c in enumerate(colors)])
    return figure


def motif_name(name: str) -> str:
    """Return a motif as it is printed: octahedral, CN 6."""
    name, _, number = name.partition(" CN_")
    name = {"sgl_bd": "single bond", "None": "no motif"}.get(name, name)
    return f"{name}, CN\N{NO-BREAK SPACE}{number}" if number else name


def _height(motifs: Sequence[str]) -> float:
    return AROUND + len(motifs) * (0.3 if len(motifs) <= DENSE else 0.21)


def _finish(figure: Figure, names: Sequence[str], ends: Sequence[np.ndarray], species: str) -> None:
    axis = figure.axes[0]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_xlim(0, 1.05 * (np.concatenate([finite(end) for end in ends]).max(initial=0) or 1.0))
    for axis in figure.axes:
        axis.tick_params(axis="y", length=0)
        axis.locator_params(axis="x", nbins=4)
        axis.set_xlabel(f"{species} atoms (%)".strip())
