"""What CrystalNN knows of pairs of species: charges, electronegativities and radii, from pymatgen's tables."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from pymatgen.core import Element, Species

ELECTRONEGATIVITY_WEIGHT = 3.0
LARGEST_DIFFERENCE = 3.3
"""Largest difference of two elements' electronegativities (Pauling)."""


def as_species(elements: np.ndarray, oxidation_states: Mapping[str, float] | None) -> list[Element] | list[Species]:
    """Elements of pymatgen, or ions where there are oxidation states.

    Raises:
        CryinGANError: a symbol is no element's, or an element has no oxidation state.
    """
    from pymatgen.core import Element, Species

    for symbol in elements:
        if not Element.is_valid_symbol(symbol):
            raise CryinGANError(f"{symbol} is not an element")
    if oxidation_states is None:
        return [Element(symbol) for symbol in elements]
    missing = sorted(set(elements.tolist()) - set(oxidation_states))
    if missing:
        raise CryinGANError(f"no oxidation state given for {', '.join(missing)}; give one for every element")
    return [Species(symbol, oxidation_states[symbol]) for symbol in elements]


def allowed_pairs(species: Sequence[Element | Species]) -> np.ndarray:
    """Whether the second of two species can be a neighbour of the first, shape (species, species)."""
    charges = np.array([getattr(one, "oxi_state", None) or 0 for one in species])
    return np.multiply.outer(charges, charges) <= 0


def electronegativity_factors(species: Sequence[Element | Species]) -> np.ndarray:
    """Preference for pairs that differ in electronegativity, shape (species, species)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # elements without a value have a NaN, and the factor 1
        values = np.array([one.X for one in species], dtype=float)
    difference = np.nan_to_num(np.abs(values[:, None] - values))
    return 1 + ELECTRONEGATIVITY_WEIGHT * np.sqrt(difference / LARGEST_DIFFERENCE)


def bond_lengths(species: Sequence[Element | Species]) -> np.ndarray:
    """Sums of two radii, Angstrom, shape (species, species): of ions where both are known, else of atoms.

    Raises:
        CryinGANError: no radius is known.
    """
    ionic = np.array([_ionic_radius(one) for one in species])
    atomic = np.array([_atomic_radius(one) for one in species])
    both = np.logical_and.outer(ionic > 0, ionic > 0)
    return np.where(both, np.add.outer(ionic, ionic), np.add.outer(atomic, atomic))


def _atomic_radius(species: Element | Species) -> float:
    """Covalent radius, or atomic where there is none, Angstrom."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

    radius = CovalentRadius.radius.get(species.symbol) or species.atomic_radius
    if radius is None:
        raise CryinGANError(f"no radius is known for {species.symbol}")
    return float(radius)


def _ionic_radius(species: Element | Species) -> float:
    """Radius by oxidation state, else between those of the whole numbers around, else the mean ion's; 0 if unknown."""
    state = getattr(species, "oxi_state", None)
    if state is None:
        return 0.0
    if state == 0:
        return _atomic_radius(species)
    radii, low, high = species.element.ionic_radii, math.floor(state), math.ceil(state)
    if state in radii:
        return radii[state]
    if low in radii and high in radii:
        return (high - state) * radii[low] + (state - low) * radii[high]
    return float(species.average_cationic_radius if state > 0 else species.average_anionic_radius)
