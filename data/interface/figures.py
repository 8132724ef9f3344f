"""Figures of an interface data set: energies of all structures, and some of the structures that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryingan.plots.energies import number_of_bins
from cryingan.plots.structures import structure_figure
from cryingan.plots.style import BLUE, GREY, legend_above, new_figure, save_figure, style
from data.interface.dataset import RelaxedSet

SHOWN = 4


def draw(relaxed: RelaxedSet, folder: Path) -> None:
    """Write distribution.png and structures.png."""
    save_distribution(relaxed, folder / "distribution.png")
    energies = np.where(relaxed.kept, relaxed.energies, np.inf)
    chosen = np.argsort(energies)[np.unique(np.linspace(0, relaxed.kept.sum() - 1, SHOWN).astype(int))]
    scaled = (relaxed.energies - relaxed.cutoff) * relaxed.factor
    titles = [f"{round(scaled[i], 2) + 0.0:.2f} J/m$^2$" for i in chosen]  # no -0.00
    save_figure(structure_figure(relaxed.crystals[chosen], titles), folder / "structures.png")


@style()
def save_distribution(relaxed: RelaxedSet, path: Path) -> None:
    """Draw the energies of all structures after relaxation (supplementary figure S4 of the paper), and before.

    Energies before relaxation are drawn if any are known.

    Args:
        relaxed: the set.
        path: path of the PNG file.
    """
    before = np.array([one.energy_initial for one in relaxed.results]) / relaxed.n_atoms
    panels = [("relaxed", relaxed.energies, BLUE)]
    if np.isfinite(before).any():
        panels.append(("as placed", before[np.isfinite(before)], GREY))
    figure = new_figure(len(panels), 1, height=2.4)
    for axis, (label, energies, color) in zip(figure.axes, panels, strict=True):
        values = (energies[np.isfinite(energies)] - relaxed.cutoff) * relaxed.factor
        edges = np.linspace(values.min(), values.max(), number_of_bins(len(values)) + 1)
        counts = np.histogram(values, edges)[0] / len(energies) * 100
        patch = axis.stairs(counts, edges, color=color, fill=True, alpha=0.6, label=label)
        axis.set_xlabel("interface energy (J/m$^2$)")
        axis.set_ylabel("structures (%)")
        if label == "relaxed":
            line = axis.axvline(0, color="black", linestyle="--", linewidth=0.8, label="cut-off")
            handles = [patch, line]
        else:
            handles.append(patch)
    legend_above(figure, handles)
    save_figure(figure, path)
