"""Energies on the scale of a data set: J/m^2 for interfaces, eV/atom for bulk; always tied to one potential."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryingan.cards import PotentialCard
from cryingan.crystals import Crystals
from cryingan.data_cards import DataCard
from cryingan.errors import CryinGANError
from cryingan.files import replace_file
from cryingan.potentials import Potential

log = logging.getLogger(__name__)

ELEMENTARY_CHARGE = 1.602176634e-19  # J per eV
SQUARE_ANGSTROM = 1e-20  # m^2
UNITS = {"interface": "J/m^2", "bulk": "eV/atom"}
THRESHOLDS = (0.0, -0.2)


@dataclass(frozen=True, eq=False)
class Energies:
    """Energies of structures, on the scale of one data set and from one potential.

    Attributes:
        values: shape (structures,); NaN for a structure without a relaxed energy.
        unit: J/m^2 or eV/atom.
        potential: card of the potential that gave them.
    """

    values: np.ndarray
    unit: str
    potential: PotentialCard

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class EnergyScale:
    """From eV/atom of one potential to the energies of one data set.

    Attributes:
        zero: energy that counts as zero, eV/atom.
        factor: `unit` per eV/atom.
        unit: J/m^2 or eV/atom.
        potential: card of the potential that `zero` belongs to.
    """

    zero: float
    factor: float
    unit: str
    potential: PotentialCard

    def normalise(
        self, energy_per_atom: np.ndarray, potential: PotentialCard, converged: np.ndarray | None = None
    ) -> Energies:
        """Energies on this scale (spec B.3).

        Args:
            energy_per_atom: eV/atom, shape (structures,).
            potential: card of the potential that gave them.
            converged: which of them are relaxed energies; the others become NaN.

        Raises:
            CryinGANError: they are from another potential than the scale.
        """
        require_same_potential(self, Energies(energy_per_atom, self.unit, potential))
        values = (np.asarray(energy_per_atom, dtype=np.float64) - self.zero) * self.factor
        if converged is not None:
            values = np.where(converged, values, np.nan)
        return Energies(values, self.unit, potential)


def require_same_potential(*energies: Energies | EnergyScale) -> None:
    """Refuse to compare energies of different potentials or units.

    Raises:
        CryinGANError: they differ; the message names both.
    """
    first = energies[0]
    for other in energies[1:]:
        if (first.potential.name, first.potential.hash) != (other.potential.name, other.potential.hash):
            names = [f"{item.potential.name} ({item.potential.hash[:12]})" for item in (first, other)]
            raise CryinGANError(f"energies of different potentials cannot be mixed: {names[0]} and {names[1]}")
        if first.unit != other.unit:
            raise CryinGANError(f"energies in {first.unit} and in {other.unit} cannot be mixed")


def interface_area(cell: np.ndarray, area_axis: str = "c") -> float:
    """Area of the parallelogram of the two lattice vectors in the plane, Angstrom^2.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        area_axis: the vector that does not lie in the plane.
    """
    first, second = np.delete(np.asarray(cell, dtype=np.float64), "abc".index(area_axis), axis=0)
    return float(np.linalg.norm(np.cross(first, second)))


def interface_factor(n_atoms: int, area: float) -> float:
    """J/m^2 per eV/atom: the energy of all atoms over one area (spec B.3; not over the two areas of a periodic cell).

    Args:
        n_atoms: atoms in the cell.
        area: Angstrom^2.
    """
    return ELEMENTARY_CHARGE * n_atoms / (area * SQUARE_ANGSTROM)


def energy_scale(card: DataCard, training: Crystals, potential: Potential, cache: str | Path) -> EnergyScale:
    """The energy scale of a data set for a potential.

    Args:
        card: card of the data set.
        training: its training structures.
        potential: what gives the energies.
        cache: folder that keeps training energies; only used when the card lists no cut-off for the potential.

    Returns:
        The scale: J/m^2 above the cut-off for an interface, eV/atom above it for bulk.

    Raises:
        CryinGANError: the potential does not know an element, or the cache cannot be written.
    """
    zero = card.cutoff(potential.card)
    if zero is None:
        zero = card.cutoff_by_rule(training_energies(training, potential, cache))
    factor = 1.0
    if card.kind == "interface":
        factor = interface_factor(len(training.species), interface_area(training.cell, card.area_axis))
    return EnergyScale(zero, factor, UNITS[card.kind], potential.card)


def training_energies(training: Crystals, potential: Potential, cache: str | Path) -> np.ndarray:
    """Energies of the training structures as they are, computed once for each data set and potential.

    Args:
        training: structures.
        potential: what gives the energies.
        cache: folder for the file that keeps them.

    Returns:
        eV/atom, shape (structures,).

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or `cache` cannot be written.
    """
    path = Path(cache) / f"energies-{_crystals_hash(training)[:16]}-{potential.card.hash[:16]}.npy"
    if path.exists():
        return np.load(path, allow_pickle=False)
    log.info("computing the energies of %d training structures with %s", len(training), potential.card.name)
    energies = potential.evaluate(training.to_ase())[0] / len(training.species)
    if not np.isfinite(energies).all():
        first = int(np.flatnonzero(~np.isfinite(energies))[0])
        raise CryinGANError(f"training structure {first} has no finite energy with {potential.card.name}")
    _store(energies, path)
    return energies


@dataclass(frozen=True)
class Fraction:
    """A fraction of the generated structures with the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def fractions_below(
    energies: Energies,
    n_generated: int,
    thresholds: Sequence[float] = THRESHOLDS,
    repetitions: int = 1000,
    seed: int = 7,
) -> dict[float, Fraction]:
    """Which part of the generated structures lies at or below each threshold.

    Structures without a relaxed energy (NaN in `energies`, or missing from it) count as generated and never as below.
    The interval is the percentile bootstrap over generated structures: unlike the pivotal one of spec B.5 it stays
    within 0 and 1.

    Args:
        energies: of the structures that were relaxed.
        n_generated: structures that were generated.
        thresholds: in the unit of `energies`.
        repetitions: bootstrap samples.
        seed: seed of the bootstrap; all thresholds share its draws.

    Returns:
        A fraction for each threshold.

    Raises:
        CryinGANError: fewer were generated than have energies, or none.
    """
    if n_generated < max(1, len(energies)):
        raise CryinGANError(f"n_generated={n_generated} must be at least 1 and at least the {len(energies)} energies")
    values = np.full(n_generated, np.nan)
    values[: len(energies)] = energies.values
    return {threshold: _fraction(values <= threshold, repetitions, seed) for threshold in thresholds}


def _fraction(below: np.ndarray, repetitions: int, seed: int) -> Fraction:
    random = np.random.default_rng(seed)
    means = [below[random.choice(len(below), size=len(below))].mean() for _ in range(repetitions)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Fraction(float(below.mean()), float(low), float(high))


def _store(energies: np.ndarray, path: Path) -> None:
    """Write the cache; runs of a sweep may all do so at once, each through a file of its own."""
    own = path.with_suffix(f".{os.getpid()}.npy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(own) as file:
            np.save(file, energies, allow_pickle=False)
        own.replace(path)
    except OSError as error:
        raise CryinGANError(f"{path} cannot be written: {error.strerror or error}") from error


def _crystals_hash(crystals: Crystals) -> str:
    digest = hashlib.sha256(" ".join(crystals.species).encode())
    digest.update(np.ascontiguousarray(crystals.cell).tobytes())
    digest.update(np.ascontiguousarray(crystals.fractional).tobytes())
    return digest.hexdigest()
