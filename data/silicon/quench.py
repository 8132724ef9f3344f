"""Amorphous silicon from the melt: structure k is a function of (seed, k)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.silicon.engine import DAMPING, MASS, STEP, VINK, hold, minimize, simulation, state

AVOGADRO = 0.602214076  # g/mol per atom and cubic Angstrom to g/cm^3
HOT, LIQUID, COLD = 4500.0, 2600.0, 1000.0  # kelvin
HOLD_HOT, HOLD_LIQUID = 1.0, 1.0  # ps
FIRST_STEPS, LAST_STEPS, LAST_FORCE = 100, 2000, 1e-3  # of conjugate gradients; eV/Angstrom
LARGEST_SEED = 900_000_000  # of LAMMPS
MOST_STEPS = 2**31 - 1  # likewise


@dataclass(frozen=True)
class Quench:
    """How an amorphous structure is made.

    Attributes:
        atoms: in a cell.
        density: g/cm^3.
        rate: of cooling, K/s.
        seed: of all structures.
    """

    atoms: int = 256
    density: float = 2.28
    rate: float = 2e14
    seed: int = 0

    @property
    def side(self) -> float:
        """Of the cubic cell, Angstrom, as all files have it."""
        return round((self.atoms * MASS / AVOGADRO / self.density) ** (1 / 3), 4)

    @staticmethod
    def least_rate() -> float:
        """The slowest cooling whose steps LAMMPS can count, K/s."""
        return (LIQUID - COLD) / (MOST_STEPS * STEP) * 1e12

    @property
    def protocol(self) -> dict[str, Any]:
        """What decides a structure besides the fields, in plain values."""
        return {
            "potential": VINK,
            "kelvin": [HOT, LIQUID, COLD],
            "ps": [STEP, DAMPING, HOLD_HOT, HOLD_LIQUID],
            "minimisation": [FIRST_STEPS, LAST_STEPS, LAST_FORCE],
        }

    def network(self, number: int) -> tuple[np.ndarray, float]:
        """The minimum of the structure `number` in the potential of Vink: its network.

        Random positions are minimised, melted at 4500 K, cooled to the liquid at 2600 K and then at the constant rate
        to 1000 K, and minimised. The last digits depend on the version of LAMMPS and on the processor, and with them,
        as melts are chaotic, the structure; its statistics do not.

        Returns:
            Cartesian positions, Angstrom, shape (atoms, 3), and the energy, eV.
        """
        random = np.random.default_rng([self.seed, number])
        start = random.uniform(0, self.side, (self.atoms, 3))
        seeds = random.integers(1, LARGEST_SEED, 4)
        with simulation(start, self.side) as made:
            minimize(made, FIRST_STEPS)
            made.command(f"velocity all create {HOT} {seeds[0]} dist gaussian")
            hold(made, HOT, HOT, HOLD_HOT, seeds[1])
            hold(made, HOT, LIQUID, HOLD_LIQUID, seeds[2])
            hold(made, LIQUID, COLD, (LIQUID - COLD) / self.rate * 1e12, seeds[3])
            minimize(made, LAST_STEPS, LAST_FORCE)
            return state(made)
