"""Tables and figures of coordination motifs and of curves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from cryingan.evaluation.benchmarks.base import Scores, Table
from cryingan.metrics.bootstrap import Interval, mean_interval, mean_row
from cryingan.metrics.motifs.distributions import MotifDistribution, motif_distribution
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES, MostLikely, MotifSettings, feature_names, most_likely
from cryingan.plots.curves import curve_figure
from cryingan.plots.motifs import motif_figure, motif_neighbor_figure
from cryingan.plots.series import Series


def likely(fingerprints: np.ndarray, settings: MotifSettings, compatible: bool = False) -> MostLikely:
    """Return the most likely coordination as arrays (structures, sites, ...), from (structures, sites, features)."""
    structures, sites, features = fingerprints.shape
    found = most_likely(fingerprints.reshape(structures * sites, features), settings, compatible)
    return MostLikely(*(column.reshape(structures, sites, *column.shape[1:]) for column in found))


def site_table(
    fingerprints: np.ndarray, found: MostLikely, numbers: np.ndarray, settings: MotifSettings, species: str
) -> Table:
    """Return a row for every atom of a species, with the columns of Dismai-Bench's cnn_stats files.

    From fingerprints (structures, sites, features), what `likely` makes of them, and places in the file (structures,).
    """
    structures, sites, features = fingerprints.shape
    counts = found.anion_counts.reshape(structures * sites, len(settings.anions))
    pairs = zip(found.motif.ravel().tolist(), found.cn.ravel().tolist(), strict=True)
    motifs = [MOTIF_NAMES[motif] if motif >= 0 else f"None CN_{cn}" for motif, cn in pairs]
    return {
        "structure_number": np.repeat(numbers, sites),
        "atom_number" if settings.anions else f"{species}_number": np.tile(np.arange(1, sites + 1), structures),
        "most likely CN": found.cn.ravel(),
        "CN likelihood": found.likelihood.ravel(),
        **{f"{anion} count (most likely CN)": counts[:, place] for place, anion in enumerate(settings.anions)},
        "most likely OP": motifs,
        "OP value": ["" if np.isnan(value) else value for value in found.value.ravel().tolist()],
        **dict(zip(feature_names(settings), fingerprints.reshape(-1, features).T, strict=True)),
    }


def motif_scores(
    generated: np.ndarray, reference: np.ndarray, species: str, neighbor: str | None = None, part: str = ""
) -> Scores:
    """Return table and figures of `motif_shares` of atoms of a species; none where the reference has no such atoms.

    Shares are split by the number of neighbours of the species `neighbor`, if it is given; `part` is a suffix of names.
    """
    if not np.isfinite(reference).any():
        return Scores()
    distribution = motif_distribution(generated, reference)
    motifs, shares, split = distribution.motifs, distribution.generated, distribution.generated_split
    bars = (motifs, distribution.reference, shares.value, shares.low, shares.high)
    figures = {f"{species}{part}_coord_env": partial(motif_figure, *bars, species=species)}
    if neighbor is not None:
        stacked = (motifs, distribution.reference_split, split.value)
        draw = partial(motif_neighbor_figure, *stacked, neighbor=neighbor, species=species)
        figures[f"{species}{part}_coord_env_with_n_{neighbor}"] = draw
    tables = {f"most_likely_{species}_OP{part}.csv": _distribution_table(distribution, neighbor)}
    return Scores(tables=tables, figures=figures)


def _distribution_table(distribution: MotifDistribution, neighbor: str | None) -> Table:
    """Return shares in percent with the columns of Dismai-Bench's most_likely files."""
    columns = {"motif": distribution.motifs, "Train set (%)": distribution.reference}
    columns |= _with_errors("Gen set", distribution.generated)
    if neighbor is None:
        return columns
    for number, shares in enumerate(distribution.reference_split.T):
        columns[f"Train set {number} {neighbor} (%)"] = shares
    split = distribution.generated_split
    for number, ends in enumerate(zip(split.value.T, split.low.T, split.high.T, strict=True)):
        columns |= _with_errors(f"Gen set {number} {neighbor}", Interval(*ends, split.structures))
    return columns


def _with_errors(name: str, shares: Interval) -> Table:
    errors = {"lower": shares.value - shares.low, "upper": shares.high - shares.value}
    return {f"{name} (%)": shares.value, **{f"{name} {end} error (%)": error for end, error in errors.items()}}


def curve_table(
    x: str, places: np.ndarray, name: str, training: np.ndarray, generated: np.ndarray, factor: float = 1.0
) -> Table:
    """Return mean curves of both sets and the interval of the generated one, as Dismai-Bench's avg files.

    `x` and `name` are names of the columns of `places`, shape (points,), and of the curves, (structures, points), whose
    values are multiplied by a factor, such as 100 for percent.
    """
    curve = mean_interval(generated)
    return {
        x: places,
        f"Train set avg {name}": factor * mean_row(training),
        f"Gen set avg {name}": factor * curve.value,
        "Gen set lower bound": factor * curve.low,
        "Gen set upper bound": factor * curve.high,
    }


def curves(tables: Mapping[str, Table], xlabel: str, ylabel: str) -> partial:
    """Return a function that draws tables of `curve_table`, a panel with its own scale for each title."""
    panels = {}
    for title, table in tables.items():
        x, training, *generated = table.values()
        panels[title] = {"training set": Series(x, training), "generated": Series(x, *generated)}
    return partial(curve_figure, panels, xlabel, ylabel, share_y=False)
