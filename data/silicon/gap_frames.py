"""Structures that a GAP of silicon learns from, and of which none is from the data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from data.silicon.engine import MASS, hold, minimize, simulation, state
from data.silicon.quench import AVOGADRO, LARGEST_SEED

ATOMS = 64
MELTS, GASES, DIAMONDS = 24, 14, 20  # trajectories, trajectories, frames
DENSITIES = (2.20, 2.45)  # g/cm^3
TEMPERATURES = (3500.0, 3300.0, 2600.0, 2000.0, 1500.0, 1000.0, 600.0, 300.0)  # kelvin; the first is a liquid's
BETWEEN = 1.0  # ps, from one temperature to the next
GAS_STEPS = (0, 2, 5, 10, 20, 60)  # of conjugate gradients
APART = 1.75  # Angstrom, of random atoms
TRIES = 20_000  # places for an atom
CONSTANTS, DISPLACEMENTS = (5.3, 5.6), (0.02, 0.25)  # Angstrom, of diamond


class Frame(NamedTuple):
    """A structure of a trajectory.

    Attributes:
        kind: `liquid`, `quench`, `minimum`, `random` or `diamond`.
        trajectory: number of the trajectory, which is in one set as a whole.
        atoms: the structure.
    """

    kind: str
    trajectory: int
    atoms: Atoms


def training_frames(seed: int) -> Iterator[Frame]:
    """Frames of melts that are cooled, of random atoms that come to rest, and of displaced crystals.

    Melts and random atoms move in the potential of Vink; each trajectory is a function of the seed and its number.
    """
    for number in range(MELTS):
        yield from _melt(number, np.random.default_rng([seed, number]))
    for number in range(MELTS, MELTS + GASES):
        yield from _gas(number, np.random.default_rng([seed, number]))
    for number in range(MELTS + GASES, MELTS + GASES + DIAMONDS):
        random = np.random.default_rng([seed, number])
        atoms = bulk("Si", a=random.uniform(*CONSTANTS), cubic=True).repeat(2)
        atoms.positions += random.normal(0, random.uniform(*DISPLACEMENTS), (len(atoms), 3))
        yield Frame("diamond", number, atoms)


def _melt(number: int, random: np.random.Generator) -> Iterator[Frame]:
    side, seeds = _side(random), random.integers(1, LARGEST_SEED, 2 + len(TEMPERATURES))
    with simulation(random.uniform(0, side, (ATOMS, 3)), side) as made:
        minimize(made, 100)
        made.command(f"velocity all create 4500 {seeds[0]} dist gaussian")
        hold(made, 4500, TEMPERATURES[0], BETWEEN, seeds[1])
        before = TEMPERATURES[0]
        for temperature, own in zip(TEMPERATURES, seeds[2:], strict=True):
            hold(made, before, temperature, BETWEEN, own)
            before = temperature
            kind = "liquid" if temperature == TEMPERATURES[0] else "quench"
            yield Frame(kind, number, _atoms(state(made)[0], side))
        minimize(made, 2000, 1e-3)
        yield Frame("minimum", number, _atoms(state(made)[0], side))


def _gas(number: int, random: np.random.Generator) -> Iterator[Frame]:
    side, done = _side(random), 0
    with simulation(_placed(side, random), side) as made:
        made.command("run 0")
        for steps in GAS_STEPS:
            if steps > done:
                minimize(made, steps - done)
            done = steps
            yield Frame("random", number, _atoms(state(made)[0], side))


def _side(random: np.random.Generator) -> float:
    return float((ATOMS * MASS / AVOGADRO / random.uniform(*DENSITIES)) ** (1 / 3))


def _placed(side: float, random: np.random.Generator) -> np.ndarray:
    """Random places in a cube that are not closer than `APART`, Angstrom, shape (atoms, 3)."""
    placed = np.empty((0, 3))
    for trial in random.uniform(0, side, (TRIES, 3)):
        apart = placed - trial
        apart -= side * np.round(apart / side)
        if (np.linalg.norm(apart, axis=1) >= APART).all():
            placed = np.append(placed, trial[None], axis=0)
        if len(placed) == ATOMS:
            return placed
    raise CryinGANError(f"{ATOMS} random atoms found no places {APART} Angstrom apart")


def _atoms(positions: np.ndarray, side: float) -> Atoms:
    return Atoms(f"Si{len(positions)}", positions, cell=[side] * 3, pbc=True)
