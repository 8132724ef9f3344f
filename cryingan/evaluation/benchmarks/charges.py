"""Charges of elements from a composition, where nobody gives them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import comb, prod
from operator import mul

MOST = 200_000  # ways to give charges to atoms that pymatgen is asked to try, some seconds


def guessed_charges(composition: Mapping[str, int], given: Mapping[str, float]) -> dict[str, float] | None:
    """The likeliest charges with which a composition is neutral, by `Composition.oxi_state_guesses` of pymatgen.

    Charges that all atoms of an element share are preferred; mixed ones are averages. Elements of the composition whose
    ions are not known to pymatgen, and compositions with too many mixed charges to try, have no guess.

    Args:
        composition: atoms of each element.
        given: charges that are known.

    Returns:
        The charge of every element; None where there is no guess.

    Example:
        >>> guessed_charges({"Na": 30, "Cl": 30}, {})
        {'Na': 1.0, 'Cl': -1.0}
        >>> guessed_charges({"Fe": 154, "Ni": 51, "Cr": 51}, {}) is None
        True
    """
    from pymatgen.core import Composition, Element

    reduced, _ = Composition(composition).get_integer_formula_and_factor()
    atoms = {symbol: int(n) for symbol, n in Composition(reduced).get_el_amt_dict().items()}
    known = (Element(symbol) for symbol in atoms)
    states = [(given[one.symbol],) if one.symbol in given else one.icsd_oxidation_states for one in known]
    neutral = [one for one in product(*states) if not sum(map(mul, one, atoms.values()))]
    if neutral:
        states = [tuple(dict.fromkeys(charges)) for charges in zip(*neutral, strict=True)]
    ways = prod(comb(n + len(one) - 1, n) for n, one in zip(atoms.values(), states, strict=True))
    if not 0 < ways <= MOST or not all(states):
        return None
    guesses = Composition(reduced).oxi_state_guesses(dict(zip(atoms, states, strict=True)))
    return {symbol: float(charge) for symbol, charge in guesses[0].items()} if guesses else None
