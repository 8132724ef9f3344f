"""Pieces of a large structure of amorphous silicon, cut out as cubes and healed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.hashes import file_hash
from cryingan.structures.files import read_structures
from data.silicon.engine import DAMPING, MASS, STEP, VINK, hold, minimize, simulation, state
from data.silicon.quench import AVOGADRO, LARGEST_SEED, LAST_FORCE, LAST_STEPS

ANNEAL, COOLED = 1500.0, 800.0  # kelvin
HOLD_ANNEAL, HOLD_COOLING = 4.0, 2.0  # ps
ORIGINS = 10_000  # that are tried for a structure
LARGER = 4  # times the atoms of a piece


@dataclass(frozen=True)
class Slices:
    """Cubes of a large cell, each with a number of atoms of its own choice of origin.

    A cut breaks bonds at most faces of so small a cube, and puts atoms of opposite faces on each other. So each piece
    is minimised in its own cell, annealed at 1500 K, cooled to 800 K and minimised again.

    Attributes:
        path: file of one structure, which is cut; its cell has right angles.
        sha256: of the file.
        atoms: in a piece.
        seed: of all pieces.
    """

    path: str
    sha256: str
    atoms: int = 256
    seed: int = 0

    @classmethod
    def of_file(cls, path: str, atoms: int, seed: int) -> Slices:
        """The pieces of a file.

        Raises:
            CryinGANError: the file cannot be read, holds several structures or other elements than silicon, or its cell
                is skewed, or not larger than a piece.
        """
        made = cls(str(Path(path).resolve()), file_hash(path), atoms, seed)
        if (held := len(made._large[0])) < LARGER * atoms:
            raise CryinGANError(
                f"{path}: of its {held} atoms pieces of {atoms} would all be alike; {LARGER * atoms} or more"
            )
        if made.side > np.diag(made._large[1]).min():
            raise CryinGANError(f"{path}: its cell is smaller than a cube of {atoms} atoms, {made.side} Angstrom")
        return made

    @cached_property
    def _large(self) -> tuple[np.ndarray, np.ndarray]:
        """Cartesian positions and cell of the large structure, Angstrom."""
        crystals = read_structures(self.path)
        if len(crystals) > 1:
            raise CryinGANError(f"{self.path} holds {len(crystals)} structures; a file of one is cut")
        if set(crystals.species) != {"Si"}:
            raise CryinGANError(f"{self.path} holds {', '.join(crystals.counts)}; it must be of Si alone")
        if np.abs(crystals.cell - np.diag(np.diag(crystals.cell))).max() > 1e-6:
            raise CryinGANError(f"{self.path}: its cell must have right angles and lie along x, y and z")
        return crystals.fractional[0] @ crystals.cell, crystals.cell

    @property
    def density(self) -> float:
        """Of the large structure and of each piece, g/cm^3."""
        positions, cell = self._large
        return len(positions) * MASS / AVOGADRO / float(np.linalg.det(cell))

    @cached_property
    def side(self) -> float:
        """Of a piece, Angstrom."""
        return round((self.atoms * MASS / AVOGADRO / self.density) ** (1 / 3), 4)

    def cut(self, number: int) -> np.ndarray:
        """A piece as it is cut: Cartesian positions from its corner, Angstrom, shape (atoms, 3).

        Raises:
            CryinGANError: no cube with so many atoms was found.
        """
        positions, cell = self._large
        random = np.random.default_rng([self.seed, number])
        for origin in random.uniform(size=(ORIGINS, 3)) * np.diag(cell):
            moved = (positions - origin) % np.diag(cell)
            inside = (moved < self.side).all(axis=1)
            if inside.sum() == self.atoms:
                return moved[inside]
        raise CryinGANError(f"{self.path}: of {ORIGINS} cubes of {self.side} Angstrom none holds {self.atoms} atoms")

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides a piece besides the fields, in plain values."""
        return {
            "potential": VINK,
            "kelvin": [ANNEAL, COOLED],
            "ps": [STEP, DAMPING, HOLD_ANNEAL, HOLD_COOLING],
            "minimisation": [LAST_STEPS, LAST_FORCE],
            "origins": ORIGINS,
        }

    def network(self, number: int) -> tuple[np.ndarray, float]:
        """A healed piece, a function of the seed and its number, with values as `data.silicon.quench.Quench` has."""
        seeds = np.random.default_rng([self.seed, number, 1]).integers(1, LARGEST_SEED, 3)
        with simulation(self.cut(number), self.side) as made:
            minimize(made, LAST_STEPS, LAST_FORCE)
            made.command(f"velocity all create {ANNEAL} {seeds[0]} dist gaussian")
            hold(made, ANNEAL, ANNEAL, HOLD_ANNEAL, seeds[1])
            hold(made, ANNEAL, COOLED, HOLD_COOLING, seeds[2])
            minimize(made, LAST_STEPS, LAST_FORCE)
            return state(made)
