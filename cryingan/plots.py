"""Figures from results."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.crystals import Crystals
from cryingan.files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN_WIDTH = 3.4  # inch, one column of a journal page
BLUE, GREY = "#0072B2", "#777777"  # colours that colour-blind readers tell apart (Okabe and Ito)
STYLE = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 1.2}


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replace_file(path) as file:
        figure.savefig(file, format="png", dpi=150)


def new_figure(columns: int, rows: int, height: float = 2.2) -> Figure:
    """A figure of columns x rows panels in the project's style, without the global state of pyplot."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(COLUMN_WIDTH * columns * 0.85, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        figure.subplots(rows, columns, squeeze=False)
    return figure


def structure_figure(crystals: Crystals, titles: Sequence[str] = ()) -> Figure:
    """Structures side by side, seen along the second lattice vector, in the colours that chemists expect."""
    from ase.visualize.plot import plot_atoms
    from matplotlib.patches import Patch

    figure = new_figure(len(crystals), 1, height=3.2)
    for axis, atoms in zip(figure.axes, crystals.to_ase(), strict=True):
        plot_atoms(atoms, axis, radii=0.5, rotation="-90x", show_unit_cell=2)
        axis.set_axis_off()
    for axis, title in zip(figure.axes, titles, strict=False):
        axis.set_title(title, fontsize=8)
    handles = [Patch(color=color, label=symbol) for symbol, color in species_colors(crystals.species).items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def species_colors(species: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The Jmol colour of every species, RGB."""
    from ase.data import atomic_numbers
    from ase.data.colors import jmol_colors

    return {symbol: jmol_colors[atomic_numbers[symbol]] for symbol in dict.fromkeys(species)}


def read_metrics(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of a metrics.csv: for every key the epochs in which it was logged, and its values."""
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    curves = {}
    for name in rows[0] if rows else ():
        points = [(int(row["epoch"]), float(row[name])) for row in rows if row[name]]
        curves[name] = tuple(np.array(points).reshape(-1, 2).T)
    return curves


def training_figure(metrics: str | Path, random: dict[str, float]) -> Figure:
    """Wasserstein distance and sample quality against epochs; dashed lines are atoms at random."""
    titles = {
        "train/wasserstein": "Wasserstein distance",
        "samples/close_pairs": "close pairs per structure",
        "samples/neighbor_distance_error": "neighbour-distance error (Å)",
        "alloy/formation_energy_error": "formation-energy error (eV/atom)",
        "alloy/sro_error": "short-range-order error",
    }
    curves = {name: curve for name, curve in read_metrics(metrics).items() if name in titles and len(curve[0])}
    figure = new_figure(max(len(curves), 1), 1)
    for axis, (name, (epochs, values)) in zip(figure.axes, curves.items(), strict=False):
        axis.plot(epochs + 1, values, color=BLUE, marker="." if len(values) < 30 else None)
        if name in random:
            axis.axhline(random[name], color=GREY, linestyle="--", linewidth=0.8)
        if name == "samples/close_pairs":
            axis.set_yscale("symlog", linthresh=1)
            axis.set_ylim(bottom=0)
        axis.set_xlabel("epoch")
        axis.set_title(titles[name], fontsize=8)
    return figure


def energy_figure(
    energies: np.ndarray, training: np.ndarray | None, n_generated: int, unit: str, thresholds: Sequence[float]
) -> Figure:
    """Histogram of relaxed energies against the training set's, each in percent of all its structures.

    The axis reaches one width of the training set beyond it on both sides; how many generated structures lie outside,
    and how many have no relaxed energy, stands in the legend, so that nothing vanishes.

    Args:
        energies: of the relaxed structures, in `unit`, shape (relaxed,).
        training: of the training structures, shape (structures,); None where there are none.
        n_generated: structures that were generated.
        unit: of the energies.
        thresholds: drawn as dashed lines.
    """
    low, high = _energy_range(energies if training is None else training)
    edges = np.linspace(low, high, 61)
    beyond = np.count_nonzero((energies < low) | (energies > high)) / n_generated
    label = f"generated ({beyond:.1%} beyond, {1 - len(energies) / n_generated:.1%} not relaxed)"
    figure = new_figure(1, 1, height=2.6)
    [axis] = figure.axes
    if training is not None:
        axis.stairs(np.histogram(training, edges)[0] / len(training) * 100, edges, color=GREY, fill=True, alpha=0.5)
        axis.patches[-1].set_label("training set")
    axis.stairs(np.histogram(energies, edges)[0] / n_generated * 100, edges, color=BLUE, label=label)
    for threshold in thresholds:
        axis.axvline(threshold, color=GREY, linestyle="--", linewidth=0.8)
    axis.set_xlim(low, high)
    axis.set_xlabel(f"energy ({unit})")
    axis.set_ylabel("structures (%)")
    figure.legend(loc="outside upper left", fontsize=8, frameon=False)
    return figure


def _energy_range(energies: np.ndarray) -> tuple[float, float]:
    if not len(energies):
        return -0.5, 0.5
    width = max(float(np.ptp(energies)), 1e-3)
    return float(energies.min()) - width, float(energies.max()) + width
