"""Figures from arrays, in one style: readable at the width of a journal's column, and for colour-blind readers.

Every function returns a matplotlib `Figure` without the global state of pyplot; `save_figure` writes it.
"""

from cryingan.plots.comparison import comparison_figure
from cryingan.plots.curves import curve_figure, parameter_figure
from cryingan.plots.energies import energy_figure
from cryingan.plots.motifs import motif_figure, motif_neighbor_figure
from cryingan.plots.parity import Parity, parity_figure
from cryingan.plots.series import Series
from cryingan.plots.structures import species_colors, structure_figure
from cryingan.plots.style import COLUMN_WIDTH, PAGE_WIDTH, new_figure, save_figure
from cryingan.plots.training import read_metrics, training_figure
from cryingan.plots.violins import sro_figure

__all__ = [
    "COLUMN_WIDTH",
    "PAGE_WIDTH",
    "Parity",
    "Series",
    "comparison_figure",
    "curve_figure",
    "energy_figure",
    "motif_figure",
    "motif_neighbor_figure",
    "new_figure",
    "parameter_figure",
    "parity_figure",
    "read_metrics",
    "save_figure",
    "species_colors",
    "sro_figure",
    "structure_figure",
    "training_figure",
]
