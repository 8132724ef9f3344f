"""The figure of a set of amorphous silicon: g(r), bond angles, motifs and energies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cryingan.metrics import angles, radial
from cryingan.plots.energies import number_of_bins
from cryingan.plots.style import BLACK, BLUE, legend_above, new_figure, save_figure, style
from data.silicon.dataset import SiliconSet
from data.silicon.paper import PAPER_MOTIFS
from data.silicon.properties import Properties

BAR = 0.38


@style()
def draw(made: SiliconSet, found: Properties, values: dict[str, Any], path: Path) -> None:
    """Draw the mean g(r) and bond angles, shares of motifs beside the paper's, and energies above diamond.

    Args:
        made: the set.
        found: its descriptors.
        values: `data.silicon.card.facts` of the set.
        path: of the PNG file.
    """
    figure = new_figure(2, 2, height=2.3)
    rdf, turns, motifs, energies = figure.axes
    rdf.plot(radial.bin_centers(), found.sample["rdf"].mean(axis=0), color=BLUE)
    rdf.set(xlabel="r (Å)", ylabel="g(r)", xlim=(0, radial.R_MAX), ylim=(0, None))
    turns.plot(angles.bin_centers(), 100 * found.sample["angles"].mean(axis=0), color=BLUE)
    turns.set(xlabel="bond angle (°)", ylabel="share of angles (%)", xlim=(40, 180), ylim=(0, None))

    places = np.arange(len(PAPER_MOTIFS))
    own = [values["motifs"].get(name, 0.0) for name in PAPER_MOTIFS]
    bars = [
        motifs.barh(places - BAR / 2, list(PAPER_MOTIFS.values()), BAR, color=BLACK, label="the paper's training set"),
        motifs.barh(places + BAR / 2, own, BAR, color=BLUE, label="this set"),
    ]
    motifs.set_yticks(places, [name.replace(" CN_", ", CN ") for name in PAPER_MOTIFS])
    motifs.set(xlabel="share of atoms (%)")
    motifs.invert_yaxis()

    above = 1000 * (made.energies - values["diamond"]["energy_per_atom"])
    edges = np.linspace(above.min(), above.max(), number_of_bins(len(above)) + 1)
    energies.stairs(100 * np.histogram(above, edges)[0] / len(above), edges, color=BLUE, fill=True, alpha=0.6)
    energies.set(xlabel="energy above diamond (meV/atom)", ylabel="structures (%)")
    legend_above(figure, bars)
    save_figure(figure, path)
