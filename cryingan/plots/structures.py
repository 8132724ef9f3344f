"""Structures drawn as atoms in their cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.style import new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cryingan.structures.crystals import Crystals

WIDTH, HEIGHT, NARROWEST = 2.9, 3.2, 0.8  # inch, of one structure


@style()
def structure_figure(crystals: Crystals, titles: Sequence[str] = ()) -> Figure:
    """Draw structures side by side, in Jmol colours, seen along the Cartesian y axis; titles are for the first ones."""
    from ase.data import atomic_numbers
    from ase.data.colors import jmol_colors
    from ase.visualize.plot import plot_atoms
    from matplotlib.patches import Patch

    across, up = np.ptp(np.array(list(np.ndindex(2, 2, 2))) @ crystals.cell, axis=0)[[0, 2]]
    width = min(WIDTH, NARROWEST + HEIGHT * across / up)  # tall cells closer together
    figure = new_figure(len(crystals), 1, height=HEIGHT, width=width * len(crystals))
    for axis, atoms in zip(figure.axes, crystals.to_ase(), strict=True):
        plot_atoms(atoms, axis, radii=0.5, rotation="-90x", show_unit_cell=2)
        axis.set_axis_off()
    for axis, title in zip(figure.axes, titles, strict=False):
        axis.set_title(title)
    species = dict.fromkeys(crystals.species)
    handles = [Patch(color=jmol_colors[atomic_numbers[symbol]], label=symbol) for symbol in species]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5 * len(crystals)))
    return figure
