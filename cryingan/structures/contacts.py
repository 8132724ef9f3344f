"""Pairs of anions so close that they are molecules, such as Cl2 or ClO-, which potentials may accept.

The rule, its sources and the crystals that it leaves alone: docs/relaxation.md, "Contacts of anions".
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from math import gcd

import numpy as np

from cryingan.geometry.neighbors import neighbors
from cryingan.structures.crystals import Crystals

log = logging.getLogger(__name__)

# Anions with a full shell. The atoms of heavier ones are as near to each other in crystals (Te-Te in Bi2Te3).
ANIONS = {"N": -3, "O": -2, "F": -1, "S": -2, "Cl": -1, "Se": -2, "Br": -1, "I": -1}
# Of the sum of two crystal radii. All contacts of anions in relaxed interfaces lie below 0.75 or above 0.90, and the
# closest in published crystals is 0.891 (PdS).
FRACTION = 0.89

Contact = tuple[str, float]  # a pair of species, such as O-Cl, and its distance, Angstrom


def contacts(crystals: Crystals) -> list[list[Contact] | None]:
    """Pairs of anions closer than `FRACTION` of the sum of their crystal radii, with no other ion between them.

    An atom that is no anion lies between two if the angle at it is above 90 degrees, which is Gabriel's criterion: the
    sphere around the pair, whose diameter is their distance, holds it. So O-O in a carbonate is none.

    Args:
        crystals: the structures.

    Returns:
        The contacts of each structure, the closest first. None where the species are not checked, as `anion_radii`
        says, or a coordinate is not finite.

    Source:
        Radii: R. D. Shannon, Acta Cryst. A 32, 751 (1976); criterion: K. R. Gabriel and R. R. Sokal, Syst. Zool. 18,
        259 (1969).

    Example:
        >>> places = [[[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0, 0], [0.5, 0, 0.5]]]
        >>> contacts(cryingan.Crystals(places, 8 * np.eye(3), ["Li", "Li", "Cl", "Cl"]))  # 4.5 Angstrom apart
        [[]]
        >>> places[0][3] = [0.5, 0, 0]
        >>> contacts(cryingan.Crystals(places, 8 * np.eye(3), ["Li", "Li", "Cl", "Cl"]))
        [[('Cl-Cl', 2.0)]]
    """
    radii = anion_radii(crystals.species)
    checked = np.isfinite(crystals.fractional).all(axis=(1, 2)) & bool(radii)
    return [
        _closer(crystals.species, fractional @ crystals.cell, crystals.cell, radii) if one else None
        for fractional, one in zip(crystals.fractional, checked, strict=True)
    ]


def _closer(
    species: Sequence[str], positions: np.ndarray, cell: np.ndarray, radii: Mapping[str, float]
) -> list[Contact]:
    """Contacts of one structure with wrapped Cartesian positions, Angstrom, shape (atoms, 3)."""
    radius = np.array([radii.get(symbol, np.nan) for symbol in species])
    source, target, image = neighbors(positions, cell, 2 * FRACTION * max(radii.values()))
    apart = positions[target] - positions[source] + image @ cell
    length = np.linalg.norm(apart, axis=1)
    # NaN, the radius of all others, is never larger. A pair is listed from both ends; an atom and its own image, too.
    close = (length < FRACTION * (radius[source] + radius[target])) & (source <= target)
    found = {}
    for pair in np.flatnonzero(close):
        around = (source == source[pair]) & np.isnan(radius[target])
        rest = np.linalg.norm(apart[around] - apart[pair], axis=1)
        if not (length[around] ** 2 + rest**2 < length[pair] ** 2).any():
            ends = (int(source[pair]), int(target[pair]))
            found[ends] = min(found.get(ends, np.inf), float(length[pair]))
    ordered = sorted(found.items(), key=lambda item: item[1])
    return [(f"{species[first]}-{species[second]}", distance) for (first, second), distance in ordered]


def contact_text(found: Sequence[Contact] | None) -> str:
    """Contacts in one field of a table: empty where they are not checked, else `none` or all of them.

    Example:
        >>> contact_text([("O-Cl", 1.764), ("Cl-Cl", 2.1)]), contact_text([]), contact_text(None)
        ('O-Cl 1.76; Cl-Cl 2.10', 'none', '')
    """
    if found is None:
        return ""
    return "; ".join(f"{pair} {distance:.2f}" for pair, distance in found) or "none"


def anion_radii(species: Sequence[str]) -> dict[str, float]:
    """Shannon's crystal radii of the elements that are anions in a composition without doubt; logs once if none are.

    Charges are those that pymatgen knows from the ICSD. The composition must be neutral with them. An element counts if
    it is an anion with a full shell whichever of them one chooses. So nothing is checked in metals, in peroxides such
    as BaO2, and in pyrites, whose sulphur may be S2- or (S2)2-.

    Args:
        species: chemical symbol of each atom.

    Returns:
        Radius of each anion, Angstrom, for six neighbours; empty where contacts cannot be checked.

    Example:
        >>> anion_radii(["Li", "Li", "Li", "O", "Cl"])
        {'O': 1.26, 'Cl': 1.67}
        >>> anion_radii(["Fe", "S", "S"])
        {}
    """
    return dict(_radii(tuple(Counter(species).items())))


@lru_cache  # and so the line appears once
def _radii(counts: tuple[tuple[str, int], ...]) -> dict[str, float]:
    from pymatgen.core import Species

    charges = _possible_charges(dict(counts))
    anions = {symbol: charge for symbol, charge in ANIONS.items() if charges.get(symbol) == {charge}}
    if not anions and len(counts) > 1:  # nobody expects them in an element
        formula = " ".join(f"{symbol}{n}" for symbol, n in counts)
        log.info("contacts of anions are not checked in %s: it has no anions whose charge is certain", formula)
    return {symbol: float(Species(symbol, anions[symbol]).ionic_radius) for symbol, _ in counts if symbol in anions}


def _possible_charges(counts: Mapping[str, int]) -> dict[str, set[int]]:
    """Charges that each element may have in a neutral composition; empty where it cannot be neutral.

    All atoms of an element have one charge, if that can be; else, as in Fe3O4, each may have any of its charges.
    """
    from pymatgen.core import Element

    if not all(map(Element.is_valid_symbol, counts)):
        return {}
    states = {symbol: set(Element(symbol).icsd_oxidation_states) for symbol in counts}
    if not all(states.values()):
        return {}
    low, high = (sum(n * end(states[symbol]) for symbol, n in counts.items()) for end in (min, max))
    if not low <= 0 <= high:
        return {}
    unit = gcd(*counts.values())
    totals = {symbol: {n // unit * charge for charge in states[symbol]} for symbol, n in counts.items()}
    possible = {}
    for symbol, n in counts.items():
        others = [totals[other] for other in totals if other != symbol]
        sums = reduce(lambda one, more: {a + b for a in one for b in more}, others, {0})
        possible[symbol] = {charge for charge in states[symbol] if -charge * n // unit in sums}
    return possible if all(possible.values()) else states
