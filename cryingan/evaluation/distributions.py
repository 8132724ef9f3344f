"""The distributions behind the scores of several evaluations, beside their reference's."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.plots.distributions import Distribution
from cryingan.plots.series import Series

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

REFERENCE = "training set"
CURVES = {  # tables of curves, with the labels of their axes
    "avg_rdf_Si_Si.csv": ("r (Å)", "g(r)"),
    "avg_bond_angle_distribution.csv": ("bond angle (°)", "share of angles (%)"),
}
MOTIFS = re.compile(r"most_likely_([A-Z][a-z]?)_OP\.csv")


def distributions(runs: Mapping[str, Sequence[Path]]) -> list[Distribution]:
    """What the tables of evaluations with one reference hold of it and of each model.

    Args:
        runs: folders of evaluations by model. One run has its intervals, several have their mean and range.

    Returns:
        g(r) and bond angles of silicon, and shares of motifs of each species, as far as all folders have them for the
        same distances, angles or motifs, which evaluations of other versions may not.
    """
    folders = [folder for several in runs.values() for folder in several]
    everywhere = set.intersection(*({path.name for path in folder.glob("*.csv")} for folder in folders))
    made = [
        _curve(tables, *labels)
        for table, labels in CURVES.items()
        if table in everywhere and (tables := _comparable(runs, table))
    ]
    for table, match in ((name, MOTIFS.fullmatch(name)) for name in sorted(everywhere)):
        if match and (tables := _comparable(runs, table)):
            made.append(_motifs(tables, match[1]))
    return made


def _comparable(runs: Mapping[str, Sequence[Path]], name: str) -> dict[str, list[DataFrame]] | None:
    """A table of all evaluations by model; None where its first column differs between them, which a line says."""
    from pandas import read_csv
    from pandas.errors import EmptyDataError

    try:
        tables = {model: [read_csv(folder / name) for folder in folders] for model, folders in runs.items()}
    except EmptyDataError as error:
        raise CryinGANError(f"{name} of an evaluation is empty: evaluate again") from error
    rows = [table.iloc[:, 0].tolist() for several in tables.values() for table in several]
    if any(one != rows[0] for one in rows):
        log.warning("%s is not drawn: evaluations of other versions have other rows", name)
        return None
    return tables


def _curve(tables: Mapping[str, list[DataFrame]], xlabel: str, ylabel: str) -> Distribution:
    (first, *_), *_ = tables.values()
    x, training, *_ = first.to_numpy().T
    sets = {name: _one_or_several(x, [one.to_numpy().T[2:] for one in several]) for name, several in tables.items()}
    return Distribution({REFERENCE: Series(x, training), **sets}, xlabel, ylabel)


def _motifs(tables: Mapping[str, list[DataFrame]], species: str) -> Distribution:
    (first, *_), *_ = tables.values()
    x = np.arange(len(first), dtype=np.float64)
    sets = {name: _one_or_several(x, list(map(_shares, several))) for name, several in tables.items()}
    training = Series(x, first["Train set (%)"].to_numpy())
    return Distribution({REFERENCE: training, **sets}, f"{species} atoms (%)", motifs=first["motif"].tolist())


def _shares(table: DataFrame) -> np.ndarray:
    """Value, lower and upper end of the shares of a generated set, percent, shape (3, motifs)."""
    value, lower, upper = (table[f"Gen set{end} (%)"].to_numpy() for end in ("", " lower error", " upper error"))
    return np.array([value, value - lower, value + upper])


def _one_or_several(x: np.ndarray, runs: list[np.ndarray]) -> Series:
    """Value and interval of a run, shape (3, points), or mean and range of the values of several."""
    if len(runs) == 1:
        return Series(x, *runs[0])
    values = np.array([value for value, *_ in runs])
    return Series(x, values.mean(axis=0), values.min(axis=0), values.max(axis=0))
