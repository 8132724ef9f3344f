"""Tables and figures of coordination motifs and of curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from cryingan.evaluation.benchmarks.base import Table
from cryingan.metrics.bootstrap import Interval
from cryingan.metrics.motifs.distributions import MotifDistribution
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES, MostLikely, MotifSettings, feature_names, most_likely

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def likely(fingerprints: np.ndarray, settings: MotifSettings, compatible: bool = False) -> MostLikely:
    """Return the most likely coordination of stacked structures as arrays (structures, sites, ...)."""
    structures, sites, features = fingerprints.shape
    found = most_likely(fingerprints.reshape(structures * sites, features), settings, compatible)
    return MostLikely(*(column.reshape(structures, sites, *column.shape[1:]) for column in found))


def site_table(
    fingerprints: np.ndarray, found: MostLikely, numbers: np.ndarray, settings: MotifSettings, species: str
) -> Table:
    """Return a row for every atom, with the columns of Dismai-Bench's cnn_stats files.

    Args:
        fingerprints: fingerprints of one species, shape (structures, sites, features).
        found: most likely coordination from `likely`.
        numbers: places of the structures in their file, shape (structures,).
        settings: settings of the fingerprints.
        species: chemical symbol, for the name of the atoms' column where there are no anions.
    """
    structures, sites, features = fingerprints.shape
    counts = found.anion_counts.reshape(structures * sites, len(settings.anions))
    pairs = zip(found.motif.ravel().tolist(), found.cn.ravel().tolist(), strict=True)
    motifs = [MOTIF_NAMES[motif] if motif >= 0 else f"None CN_{cn}" for motif, cn in pairs]
    flat = fingerprints.reshape(-1, features)
    return {
        "structure_number": np.repeat(numbers, sites),
        "atom_number" if settings.anions else f"{species}_number": np.tile(np.arange(1, sites + 1), structures),
        "most likely CN": found.cn.ravel(),
        "CN likelihood": found.likelihood.ravel(),
        **{f"{anion} count (most likely CN)": counts[:, place] for place, anion in enumerate(settings.anions)},
        "most likely OP": motifs,
        "OP value": ["" if np.isnan(value) else value for value in found.value.ravel().tolist()],
        **dict(zip(feature_names(settings), flat.T, strict=True)),
    }


def distribution_table(distribution: MotifDistribution, neighbor: str | None) -> Table:
    """Return shares of the most likely motifs in percent, with the columns of Dismai-Bench's most_likely files.

    Args:
        distribution: the shares.
        neighbor: species of the neighbours by whose number the shares are split; None where they are not.
    """
    generated, split = distribution.generated, distribution.generated_split
    columns = {"motif": distribution.motifs, "Train set (%)": distribution.reference}
    columns |= _with_errors("Gen set", generated.value, generated.low, generated.high)
    if neighbor is None:
        return columns
    for number, shares in enumerate(distribution.reference_split.T):
        columns[f"Train set {number} {neighbor} (%)"] = shares
    for number, ends in enumerate(zip(split.value.T, split.low.T, split.high.T, strict=True)):
        columns |= _with_errors(f"Gen set {number} {neighbor}", *ends)
    return columns


def _with_errors(name: str, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name} (%)": value, f"{name} lower error (%)": value - low, f"{name} upper error (%)": high - value}


def curve_table(
    x: str, places: np.ndarray, name: str, training: np.ndarray, generated: Interval, factor: float = 1.0
) -> Table:
    """Return mean curves of both sets and the interval of the generated one, as Dismai-Bench's avg files (C)."""
    return {
        x: places,
        f"Train set avg {name}": factor * training,
        f"Gen set avg {name}": factor * generated.value,
        "Gen set lower bound": factor * generated.low,
        "Gen set upper bound": factor * generated.high,
    }


def motif_figures(name: str, distribution: MotifDistribution, species: str, neighbor: str | None) -> Iterator[tuple]:
    """Yield file names and functions that draw the shares of motifs."""

    def bars() -> Figure:
        from cryingan.plots.motifs import motif_figure

        generated = distribution.generated
        ends = (generated.value, generated.low, generated.high)
        return motif_figure(distribution.motifs, distribution.reference, *ends, species=species)

    def stacked() -> Figure:
        from cryingan.plots.motifs import motif_neighbor_figure

        split = (distribution.reference_split, distribution.generated_split.value)
        return motif_neighbor_figure(distribution.motifs, *split, neighbor=neighbor, species=species)

    yield f"{name}_coord_env", bars
    if neighbor is not None:
        yield f"{name}_coord_env_with_n_{neighbor}", stacked


def bars(pair: str, table: Table) -> Callable[[], Figure]:
    """Return a function that draws the shares of atoms with 0, 1, 2 ... bonds, from a table of `curve_table`."""

    def draw() -> Figure:
        from cryingan.plots.motifs import motif_figure

        species, anion = pair.split("-")
        numbers, *shares = table.values()
        return motif_figure([f"{number} {anion}" for number in numbers], *shares, species=species)

    return draw


def curves(panels: Mapping[str, Table], xlabel: str, ylabel: str) -> Callable[[], Figure]:
    """Return a function that draws tables of `curve_table`, a panel with its own scale for each title."""

    def draw() -> Figure:
        from cryingan.plots.curves import curve_figure
        from cryingan.plots.series import Series

        shown = {}
        for title, table in panels.items():
            x, training, generated, low, high = table.values()
            shown[title] = {"training set": Series(x, training), "generated": Series(x, generated, low, high)}
        return curve_figure(shown, xlabel, ylabel, share_y=False)

    return draw
