"""Energies on the scale of a data set, J/m^2 for interfaces and eV/atom for bulk, each tied to one potential."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import constants

from cryingan.energies.data_card import DataCard
from cryingan.energies.training_energies import training_energies
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

SQUARE_ANGSTROM = 1e-20  # m^2; the square of `constants.angstrom` differs in the last bit
ENERGY_UNITS = {"interface": "J/m^2", "bulk": "eV/atom"}


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
        """Energies on this scale.

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
    """J/m^2 per eV/atom: the energy of all atoms over one area, not over the two areas of a periodic cell.

    Source: docs/dismai_bench.md, "Energy scale of an interface".

    Args:
        n_atoms: atoms in the cell.
        area: Angstrom^2.
    """
    return constants.e * n_atoms / (area * SQUARE_ANGSTROM)


def energy_scale(
    card: DataCard,
    training: Crystals,
    potential: Potential,
    cache: str | Path,
    settings: RelaxSettings | None = None,
) -> EnergyScale:
    """The energy scale of a data set for a potential.

    Args:
        card: card of the data set.
        training: its training structures.
        potential: what gives the energies.
        cache: folder that keeps training energies; only used when the card lists no cut-off for the potential.
        settings: where they are computed, as `training_energies` takes it.

    Returns:
        The scale: J/m^2 above the cut-off for an interface, eV/atom above it for bulk.

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or time is up.
    """
    zero = card.cutoff(potential.card)
    if card.only_by_name(potential.card):
        log.warning(
            "the data card gives the cut-off for any %s: whether it is the one with hash %s is not known",
            potential.card.name,
            potential.card.hash,
        )
    if zero is None:
        if potential.card.name in {cutoff["potential"] for cutoff in card.cutoffs}:
            log.warning(
                "the data card has a cut-off for another %s, not for this one (hash %s): it is set by the card's rule",
                potential.card.name,
                potential.card.hash,
            )
        zero = card.cutoff_by_rule(training_energies(training, potential, cache, settings))
    factor = 1.0
    if card.kind == "interface":
        factor = interface_factor(len(training.species), interface_area(training.cell, card.area_axis))
    return EnergyScale(zero, factor, ENERGY_UNITS[card.kind], potential.card)
