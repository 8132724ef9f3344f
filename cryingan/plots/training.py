"""Curves of a training from its metrics.csv."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.plots.style import BLACK, BLUE, GREY, legend_above, new_figure, style
from cryingan.storage.fraction_keys import FRACTION, current_key, random_key, threshold_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3


def read_metrics(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return for every key of a metrics.csv, as it is written today, the epochs that have it, and its values."""
    text = Path(path).read_text()
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))  # without a row that a kill cut short
    curves = {}
    for name in rows[0] if rows else ():
        points = [(int(row["epoch"]), float(row[name])) for row in rows if row[name]]
        curves[current_key(name)] = tuple(np.array(points).reshape(-1, 2).T)
    return curves


@style()
def training_figure(
    metrics: str | Path,
    random: dict[str, float],
    random_title: str = "random",
    training: dict[str, float] | None = None,
) -> Figure:
    """Draw score difference or loss, sample quality and low energies against epochs.

    Args:
        metrics: the metrics.csv of a run.
        random: by key the value of random structures, a dashed line.
        random_title: their name in the legend.
        training: likewise of the training set, a dotted line.
    """
    titles = {
        "train/score_difference": "difference of mean scores",
        "train/loss": "loss of the network",
        "val/loss": "loss of held-out structures",
        "samples/close_pairs": "close pairs per structure",
        "samples/neighbor_distance_error": "neighbour-distance error (Å)",
        "samples/precision": "precision",
        "samples/f1": "F1 of precision and recall",
        "samples/coverage": "coverage of the training structures",
        "relax/f1": "relaxed: F1 of precision and recall",
        "relax/distinct_minima": "relaxed: distinct minima",
        "relax/kolmogorov_smirnov": "relaxed: Kolmogorov-Smirnov",
        "alloy/formation_energy_error": "formation-energy error (eV/atom)",
        "alloy/sro_error": "short-range-order error",
    }
    read = read_metrics(metrics)
    titles |= {
        name: f"relaxed to {threshold} or below" for name in read if (threshold := threshold_in(name)) is not None
    }
    titles |= {random_key(percent): f"relaxed below {percent} % of random" for percent in (50, 10, 1)}
    curves = {name: curve for name, curve in read.items() if name in titles and len(curve[0])}
    columns = int(np.clip(len(curves), 1, COLUMNS))
    figure = new_figure(columns, max(math.ceil(len(curves) / columns), 1), height=1.8)
    dashed, dotted = [], []
    for axis, (name, (epochs, values)) in zip(figure.axes, curves.items(), strict=False):
        axis.plot(epochs + 1, values, color=BLUE, marker="." if len(values) < 30 else None)
        if name in random:
            dashed.append(axis.axhline(random[name], color=GREY, linestyle="--", linewidth=0.8, label=random_title))
        if name in (training or {}):
            dotted.append(axis.axhline(training[name], color=BLACK, linestyle=":", linewidth=1, label="training set"))
        if name == "samples/close_pairs":
            axis.set_yscale("symlog", linthresh=1)
            axis.set_ylim(bottom=0)
        if name.startswith(FRACTION):
            axis.set_ylim(0, max(1.1 * max(values.max(), (training or {}).get(name, 0)), 0.1))
        axis.set_xlim(left=0)
        axis.set_xlabel("epoch")
        axis.set_title(titles[name])
    for axis in figure.axes[len(curves) :]:
        axis.set_axis_off()
    legend_above(figure, [*dashed[:1], *dotted[:1]])
    return figure
