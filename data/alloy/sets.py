"""Files of the alloy sets, Fe154Ni51Cr51 on 256 fcc sites, and the window of the narrow sets."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy.fcc import (
    LATTICE_CONSTANT,
    PAIR_NAMES,
    SPECIES,
    cluster_counts,
    fcc_sites,
    formation_energy,
    occupation,
    short_range_order,
)
from cryingan.storage.atomic import replace_file
from cryingan.structures.files import read_structures

ALLOY_SETS = Path(__file__).parent
CELL = 4 * LATTICE_CONSTANT * np.eye(3)
KINDS = np.repeat(np.arange(3), (51, 154, 51))
"""Index into `SPECIES` of every atom."""

WINDOW_PAIRS = ("Cr-Fe", "Cr-Ni", "Fe-Ni")
"""Together with the composition, these three fix all six first-shell pairs."""
WINDOW_HALF_WIDTH = 0.5
"""In standard deviations of the wide set."""


class Window(NamedTuple):
    """Bounds (inclusive) of the first-shell parameters of `WINDOW_PAIRS`, each shape (3,)."""

    low: np.ndarray
    high: np.ndarray

    def holds(self, occupied: np.ndarray) -> np.ndarray:
        """Which structures lie inside, shape (structures,), from their occupation."""
        order = window_order(occupied)
        return ((order >= self.low) & (order <= self.high)).all(axis=1)


def window_order(occupied: np.ndarray) -> np.ndarray:
    """First-shell short-range order of `WINDOW_PAIRS`, shape (structures, 3)."""
    return short_range_order(cluster_counts(occupied))[:, [PAIR_NAMES.index(pair) for pair in WINDOW_PAIRS]]


def window_around(occupied: np.ndarray) -> Window:
    """Window of the narrow set of a wide set, centred at the median of the wide set."""
    order = window_order(occupied)
    middle, half = np.median(order, axis=0), WINDOW_HALF_WIDTH * order.std(axis=0)
    return Window(middle - half, middle + half)


def set_path(temperature: int, width: str, folder: str | Path = ALLOY_SETS) -> Path:
    """The file of a set."""
    return Path(folder) / f"alloy_{temperature}K_{width}.extxyz.gz"


def read_occupation(path: Path) -> np.ndarray:
    """The occupation of the sites in every structure of a set, shape (structures, sites).

    Raises:
        CryinGANError: the file is missing.
    """
    if not path.exists():
        raise CryinGANError(f"{path} is missing: build it first (width=wide before width=narrow)")
    crystals = read_structures(path)
    return occupation(crystals.fractional, crystals.species, crystals.cell, fcc_sites())


def write_set(path: Path, occupied: np.ndarray) -> None:
    """Write structures as gzipped extended XYZ, the same bytes each time.

    Atoms are sorted by species (Cr, Fe, Ni), then by site, so that equal structures have equal text.

    Args:
        path: path of the file.
        occupied: species index of every site, shape (structures, 256).
    """
    symbols = [SPECIES[kind] for kind in KINDS]
    places = [" ".join(f"{x:.1f}" for x in row) for row in fcc_sites() @ CELL]
    lattice = " ".join(f"{x:.1f}" for x in CELL.ravel())
    energies = formation_energy(cluster_counts(occupied))
    with replace_file(path) as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        for chain, (row, energy) in enumerate(zip(occupied, energies, strict=True)):
            header = f'{len(row)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"'
            header += f" chain={chain} formation_energy_per_atom={energy:.8f}\n"
            sites = np.argsort(row, kind="stable")
            atoms = "".join(f"{s} {places[site]}\n" for s, site in zip(symbols, sites, strict=True))
            packed.write((header + atoms).encode())
