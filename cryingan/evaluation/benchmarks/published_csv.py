"""Read the statistics of training sets that Dismai-Bench publishes as CSV files."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryingan.errors import CryinGANError


def find_table(folder: Path, pattern: str) -> Path:
    """Return the one file in a folder, or below it, whose name matches.

    Raises:
        CryinGANError: there is none, or there are several.
    """
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        several = ", ".join(str(path.relative_to(folder)) for path in found)
        raise CryinGANError(f"{folder} should hold one {pattern}, not {several or 'none'}")
    return found[0]


def header_of(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises:
        CryinGANError: the file cannot be read or is empty.
    """
    try:
        with path.open(newline="") as file:
            header = next(csv.reader(file), None)
    except (OSError, UnicodeDecodeError) as error:
        raise CryinGANError(f"{path} cannot be read: {error}") from error
    if not header:
        raise CryinGANError(f"{path} is empty")
    return [name.strip() for name in header]


def read_columns(path: Path, names: Sequence[str]) -> np.ndarray:
    """Return columns by name, float64, shape (rows, names).

    Raises:
        CryinGANError: a column is missing, a value is no number, or there are no rows.
    """
    header = header_of(path)
    missing = [name for name in names if name not in header]
    if missing:
        raise CryinGANError(f"{path} has no column {missing[0]!r}")
    return _numbers(path, [header.index(name) for name in names])


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
    """Return rows of a distribution whose columns are named by the mid-points of its bins, shape (rows, bins).

    Args:
        path: the file.
        grid: the expected mid-points, shape (bins,); columns whose names are no numbers are ignored.

    Raises:
        CryinGANError: the bins differ, a value is no number, or there are no rows.
    """
    places, points = [], []
    for place, name in enumerate(header_of(path)):
        try:
            points.append(float(name))
        except ValueError:
            continue
        places.append(place)
    if len(points) != len(grid) or not np.allclose(points, grid, rtol=0, atol=1e-6):
        raise CryinGANError(
            f"{path} should have a row per structure and a column for each of the {len(grid)} mid-points {grid[0]:g}, "
            f"{grid[1]:g} ... {grid[-1]:g}, named by it"
        )
    return _numbers(path, places)


def _numbers(path: Path, places: Sequence[int]) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file without rows
            rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=places, ndmin=2, quotechar='"', comments=None)
    except ValueError as error:
        raise CryinGANError(f"{path}: {' '.join(str(error).split())}") from error
    if len(rows) == 0:
        raise CryinGANError(f"{path} has no rows")
    if not np.isfinite(rows).all():
        raise CryinGANError(f"{path}, row {int((~np.isfinite(rows)).any(axis=1).argmax()) + 1}: a value is not finite")
    return rows
