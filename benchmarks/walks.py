"""Ways to search for structures of low energy: drawn structures that are relaxed, and ASE's basin hopping."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import FIRE
from ase.optimize.basin import BasinHopping

from cryingan.potentials.potential import Potential
from cryingan.relaxation.relax import relax
from cryingan.relaxation.repair import repair
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.contacts import contacts
from cryingan.structures.crystals import Crystals

DRAWN = 16  # structures at a time
HOW = RelaxSettings(backend="serial", progress=False)


@dataclass(frozen=True, eq=False)
class Walk:
    """Structures that were relaxed one after the other; all arrays have shape (structures,) but the last.

    Attributes:
        energies: relaxed, eV/atom; NaN where a structure does not count.
        evaluations: of energy and forces.
        seconds: CPU time.
        fractional: coordinates at the end, shape (structures, atoms, 3).
    """

    energies: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    fractional: np.ndarray


def counted(energy: float, converged: bool, crystal: Crystals) -> float:
    """The energy of a relaxed structure, NaN where it does not count."""
    return energy if converged and not contacts(crystal)[0] else np.nan


def sampled_walk(draw: Callable[[int], Crystals], potential: Potential, number: int) -> Walk:
    """One drawn structure, relaxed."""
    start, energy, evaluations = time.process_time(), np.nan, 0
    crystal, log = repair(draw(number // DRAWN)[number % DRAWN])
    if log.accepted[0]:
        ended = relax(crystal, potential, HOW)
        crystal, evaluations = ended.crystals, int(ended.evaluations[0])
        energy = counted(ended.energy_final[0] / len(crystal.species), ended.converged[0], crystal)
    seconds = time.process_time() - start
    return Walk(np.array([energy]), np.array([evaluations]), np.array([seconds]), crystal.fractional)


class Counting(Calculator):
    """A potential as a calculator of ASE that counts its evaluations."""

    implemented_properties = ("energy", "free_energy", "forces")

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential, self.evaluations = potential, 0

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str] = all_changes) -> None:
        """Evaluate the atoms."""
        super().calculate(atoms, properties, system_changes)
        [energy], [forces] = self.potential.evaluate([atoms])
        self.evaluations += 1
        self.results = {"energy": float(energy), "free_energy": float(energy), "forces": forces}


class ShortFire(FIRE):
    """FIRE that ends after so many steps as all relaxations here."""

    def run(self, fmax: float) -> bool:
        """Relax; whether it converged."""
        return super().run(fmax=fmax, steps=HOW.max_steps)


class WalkOverError(Exception):
    """A walk has made its hops."""


class RegionHopping(BasinHopping):
    """ASE's basin hopping that moves some atoms only, and keeps what it finds.

    Args:
        crystal: where it begins.
        moved: atoms that are moved, shape (atoms,).
        potential: what gives energies and forces.
        hops: relaxations after which it ends.
        seed: of the moves and of what is accepted.
        settings: `dr` (Angstrom) and `temperature` (eV) of `BasinHopping`.
    """

    def __init__(
        self, crystal: Crystals, moved: np.ndarray, potential: Potential, hops: int, seed: list[int], **settings: float
    ) -> None:
        self.template, self.moved, self.hops, self.random = crystal, moved, hops, np.random.default_rng(seed)
        self.calculator, self.found = Counting(potential), []
        np.random.seed(seed)  # noqa: NPY002 - where ASE draws what it accepts
        [atoms] = crystal.to_ase()
        atoms.calc = self.calculator
        quiet = dict.fromkeys(("logfile", "trajectory", "optimizer_logfile", "local_minima_trajectory"))
        super().__init__(atoms, optimizer=ShortFire, fmax=HOW.fmax, adjust_cm=False, **quiet, **settings)

    def move(self, ro: np.ndarray) -> np.ndarray:
        """Positions with some atoms moved at random."""
        return ro + self.dr * self.random.uniform(-1, 1, ro.shape) * self.moved[:, None]

    def get_energy(self, positions: np.ndarray) -> float | None:
        """The energy of the nearest minimum, eV; None, which has ASE move again, where it does not count."""
        if not np.any(self.positions != positions):
            return self.energy
        if len(self.found) == self.hops:
            raise WalkOverError
        before, start = self.calculator.evaluations, time.process_time()
        energy, atoms = super().get_energy(positions), self._atoms()
        largest = np.linalg.norm(atoms.get_forces(), axis=1).max()
        crystal = Crystals(atoms.get_scaled_positions()[None], self.template.cell, self.template.species)
        converged = largest < HOW.fmax and closest(atoms) >= HOW.min_distance
        energy_per_atom = counted(energy / len(atoms), converged, crystal)
        used = self.calculator.evaluations - before
        self.found.append((energy_per_atom, used, time.process_time() - start, crystal.fractional[0]))
        return energy if np.isfinite(energy_per_atom) else None


def closest(atoms: Atoms) -> float:
    """Smallest distance of two atoms, Angstrom."""
    distances = atoms.get_all_distances(mic=True)
    return float(distances[np.triu_indices(len(atoms), 1)].min())


def hopping_walk(hop: Callable[[Crystals, int], RegionHopping], draw: Callable[[int], Crystals], number: int) -> Walk:
    """One walk of basin hopping; it ends at once where its start does not count."""
    start = time.process_time()
    crystal = draw(number // DRAWN)[number % DRAWN]
    drawing = time.process_time() - start
    hopping = hop(crystal, number)
    try:
        if np.isfinite(hopping.found[0][0]):
            hopping.run(10**9)
    except WalkOverError:
        pass
    walk = Walk(*map(np.array, zip(*hopping.found, strict=True)))
    walk.seconds[0] += drawing
    return walk
