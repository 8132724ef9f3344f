"""The energy scale of a data set: J/m^2 for an interface, eV/atom for bulk, for one potential."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import constants

from cryingan.energies.data_card import ANY, DataCard
from cryingan.energies.fractions import N_TRAINING
from cryingan.energies.zero import Zero, zero_by_rule
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
    """Energies of structures on the scale of one data set, from one potential.

    Attributes:
        values: shape (structures,); NaN for a structure without a relaxed energy.
        unit: J/m^2 or eV/atom.
        potential: card of the potential that gave them.
    """

    values: np.ndarray
    unit: str
    potential: PotentialCard


@dataclass(frozen=True)
class EnergyScale:
    """Converts eV/atom of one potential to the energies of one data set.

    Attributes:
        zero: energy that counts as zero, eV/atom.
        factor: `unit` per eV/atom.
        unit: J/m^2 or eV/atom.
        potential: card of the potential that `zero` belongs to.
        by_rule: where the zero comes from; None for a cut-off of the data card.
    """

    zero: float
    factor: float
    unit: str
    potential: PotentialCard
    by_rule: Zero | None = None

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
        if (self.potential.name, self.potential.hash) != (potential.name, potential.hash):
            names = [f"{card.name} ({card.hash[:12]})" for card in (self.potential, potential)]
            raise CryinGANError(f"energies of different potentials cannot be mixed: {names[0]} and {names[1]}")
        values = (np.asarray(energy_per_atom, dtype=np.float64) - self.zero) * self.factor
        return Energies(values if converged is None else np.where(converged, values, np.nan), self.unit, potential)


def interface_area(cell: np.ndarray, area_axis: str = "c") -> float:
    """Area of the parallelogram of the two lattice vectors in the plane, Angstrom^2.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        area_axis: the vector that does not lie in the plane.
    """
    first, second = np.delete(np.asarray(cell, dtype=np.float64), "abc".index(area_axis), axis=0)
    return float(np.linalg.norm(np.cross(first, second)))


def interface_factor(n_atoms: int, area: float) -> float:
    """J/m^2 per eV/atom: energy of all atoms over the area of one of the two interfaces of a periodic cell.

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
    n_training: int | None = N_TRAINING,
) -> EnergyScale:
    """The energy scale of a data set for a potential.

    Args:
        card: card of the data set.
        training: its training structures.
        potential: what gives the energies.
        cache: folder that keeps training energies, which are needed when the card has no cut-off for the potential.
        settings: how training structures are relaxed, and where; the defaults of `RelaxSettings` when None.
        n_training: as `zero_by_rule` takes it.

    Raises:
        CryinGANError: the potential does not know an element, an energy is not finite, or time is up.
    """
    used, cutoff, by_rule = potential.card, card.cutoff(potential.card), None
    if cutoff is None:
        if used.name in {listed.potential for listed in card.cutoffs}:
            log.warning(
                "the data card has a cut-off for another %s, not for this one (hash %s): the card's rule sets it",
                used.name,
                used.hash,
            )
        by_rule = zero_by_rule(card, training, potential, cache, settings or RelaxSettings(), n_training)
        zero = by_rule.energy
    else:
        if cutoff.hash == ANY:
            log.warning(
                "the data card gives the cut-off for any %s: it may not be meant for the one with hash %s",
                used.name,
                used.hash,
            )
        zero = float(cutoff.energy_per_atom)
    factor = 1.0
    if card.kind == "interface":
        factor = interface_factor(len(training.species), interface_area(training.cell, card.area_axis))
    return EnergyScale(zero, factor, ENERGY_UNITS[card.kind], used, by_rule)
