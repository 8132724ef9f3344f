"""The structures of a set of amorphous silicon, and the files of them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.one_structure import Relaxed
from cryingan.storage.atomic import replace_file
from cryingan.structures.crystals import Crystals
from data.silicon.checks import bonds, counted, refusal
from data.silicon.networks import Network

DIGITS = 4  # of Cartesian coordinates, Angstrom
ENERGIES = "energies.csv"


@dataclass(frozen=True, eq=False)
class SiliconSet:
    """A set of amorphous silicon.

    Attributes:
        results: relaxed structures, by number.
        networks: what they were relaxed from, in the same order.
        refused: why others are not in the set, by number.
        side: of the cell, Angstrom.
        potential: that relaxed them.
    """

    results: list[Relaxed]
    networks: list[Network]
    refused: Mapping[int, str]
    side: float
    potential: PotentialCard

    @property
    def energies(self) -> np.ndarray:
        """Relaxed, eV/atom, shape (structures,)."""
        return np.array([one.energy_final / len(one.positions) for one in self.results])

    @property
    def crystals(self) -> Crystals:
        """The structures, as the file has them."""
        positions = np.array([one.positions for one in self.results]) % self.side
        return silicon(np.round(positions, DIGITS), self.side)

    def reasons(self) -> dict[str, int]:
        """How many structures were refused for each reason."""
        return counted(self.refused.values())

    def beyond(self) -> dict[str, int]:
        """How many relaxed structures a network's limits would refuse, for each reason; they are in the set."""
        cell = self.side * np.eye(3)
        found = (refusal(one.positions % self.side, cell) for one in self.results)
        return counted(reason for reason in found if reason)


def silicon(positions: np.ndarray, side: float) -> Crystals:
    """Silicon at Cartesian positions (structures, atoms, 3), Angstrom, in a cubic cell."""
    return Crystals(np.asarray(positions) / side, side * np.eye(3), ("Si",) * len(positions[0]))


def write_set(made: SiliconSet, path: Path) -> None:
    """Write the structures as gzipped extended XYZ, the same bytes each time."""
    crystals = made.crystals
    lattice = " ".join(f"{x:.{DIGITS}f}" for x in crystals.cell.ravel())
    with replace_file(path) as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        for one, energy, places in zip(made.results, made.energies, crystals.fractional @ crystals.cell, strict=True):
            header = f'{len(places)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"'
            header += f" number={one.sample} energy_per_atom={energy:.8f}\n"
            rows = [f"Si {x:.{DIGITS}f} {y:.{DIGITS}f} {z:.{DIGITS}f}\n" for x, y, z in places]
            packed.write((header + "".join(rows)).encode())


def write_energies(made: SiliconSet, path: Path) -> None:
    """Write a row for every structure that was made: its energies, and its coordination or why it is refused."""
    text = io.StringIO()
    columns = ["number", "network_energy_per_atom", "energy_per_atom_initial", "energy_per_atom", "steps", "fmax"]
    text.write(",".join([*columns, "four_fold", "refused"]) + "\n")
    rows: dict[int, list[Any]] = {number: [""] * 6 + [f'"{reason}"'] for number, reason in made.refused.items()}
    for network, one, energy in zip(made.networks, made.results, made.energies, strict=True):
        atoms = len(one.positions)
        four = bonds(one.positions % made.side, made.side * np.eye(3)).share(4)
        values = [network.energy / atoms, one.energy_initial / atoms, energy]
        rows[one.sample] = [*(f"{x:.8f}" for x in values), one.steps, f"{one.fmax:.4f}", f"{four:.4f}", ""]
    for number in sorted(rows):
        text.write(",".join(map(str, [number, *rows[number]])) + "\n")
    with replace_file(path) as file:
        file.write(text.getvalue().encode())
