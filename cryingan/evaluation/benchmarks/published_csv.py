"""Read the statistics of training sets that Dismai-Bench publishes as CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from pandas import DataFrame


def find_table(folder: Path, pattern: str) -> Path:
    """Return the one file in a folder, or below it, whose name matches; raise a CryinGANError unless there is one."""
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        several = ", ".join(str(path.relative_to(folder)) for path in found)
        raise CryinGANError(f"{folder} should hold one {pattern}, not {several or 'none'}")
    return found[0]


def read_table(path: Path) -> DataFrame:
    """Return the table in a file; raise a CryinGANError if it cannot be read or is empty."""
    import pandas

    try:
        table = pandas.read_csv(path, index_col=False, float_precision="round_trip")
    except pandas.errors.EmptyDataError as error:
        raise CryinGANError(f"{path} is empty") from error
    except (OSError, ValueError) as error:
        raise CryinGANError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    return table.rename(columns=str.strip)


def read_columns(path: Path, names: Sequence[str]) -> np.ndarray:
    """Return columns by name, float64, shape (rows, names).

    Raises:
        CryinGANError: a column is missing, a value is no finite number, or there are no rows.
    """
    table = read_table(path)
    missing = [name for name in names if name not in table]
    if missing:
        raise CryinGANError(f"{path} has no column {missing[0]!r}")
    return _numbers(path, table[list(names)])


def read_sites(path: Path, features: Sequence[str]) -> np.ndarray:
    """Return fingerprints of the atoms of structures, shape (structures, sites, features).

    Raises:
        CryinGANError: as in `read_columns`, or structures differ in their number of atoms.
    """
    table = read_columns(path, ["structure_number", *features])
    numbers, sites = np.unique(table[:, 0], return_counts=True)
    if len(set(sites.tolist())) != 1:
        odd = int((sites != np.median(sites)).argmax())
        raise CryinGANError(
            f"{path}: structure {numbers[odd]:g} has {sites[odd]} rows, others {np.median(sites):g}; they must be equal"
        )
    return table[np.argsort(table[:, 0], kind="stable"), 1:].reshape(len(numbers), sites[0], -1)


def read_grid(path: Path, grid: np.ndarray) -> np.ndarray:
    """Return rows of a distribution whose columns are named by the mid-points `grid` of its bins, shape (rows, bins).

    Columns whose names are no numbers are ignored.

    Raises:
        CryinGANError: the bins differ, a value is no finite number, or there are no rows.
    """
    table, points = read_table(path), {}
    for name in table:
        with suppress(ValueError):
            points[name] = float(name)
    if len(points) != len(grid) or not np.allclose([*points.values()], grid, rtol=0, atol=1e-6):
        raise CryinGANError(
            f"{path} should have a row per structure and a column for each of the {len(grid)} mid-points {grid[0]:g}, "
            f"{grid[1]:g} ... {grid[-1]:g}, named by it"
        )
    return _numbers(path, table[list(points)])


def _numbers(path: Path, table: DataFrame) -> np.ndarray:
    import pandas

    if table.empty:
        raise CryinGANError(f"{path} has no rows")
    rows = table.apply(pandas.to_numeric, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        place = f"{path}, row {row + 1}, column {table.columns[column]!r}"
        raise CryinGANError(f"{place}: {table.iat[row, column]} is not a finite number")
    return rows
