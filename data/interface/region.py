"""The disordered region of an interface: atoms at random positions with minimum distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.systems import Region

TRIALS_PER_ATOM = 500
RESTARTS = 200


def random_positions(
    slabs: Atoms, elements: Sequence[str], bounds: tuple[float, float], region: Region, random: np.random.Generator
) -> np.ndarray:
    """Place atoms one after the other, uniformly between two heights.

    Elements with the largest minimum distances are placed first. If an atom finds no place, all atoms are placed anew.

    Args:
        slabs: atoms around the region, in the cell of the interface.
        elements: elements of the atoms to place.
        bounds: lowest and highest height of the atoms, Angstrom.
        region: region with the minimum distances.
        random: source of the random numbers.

    Returns:
        Cartesian coordinates, Angstrom, shape (elements, 3).

    Raises:
        CryinGANError: the region has no room for its atoms, or a pair of elements has no minimum distance.
    """
    limits = minimum_distances(region, set(elements), set(elements) | set(slabs.get_chemical_symbols()))
    cell = np.asarray(slabs.cell)
    near = np.abs(slabs.positions[:, 2] - np.clip(slabs.positions[:, 2], *bounds)) < max(limits.values())
    fixed = slabs[near]
    order = sorted(range(len(elements)), key=lambda i: -limits[elements[i], elements[i]])
    placed = np.array([elements[i] for i in order])
    for _ in range(RESTARTS):
        positions = _place(fixed, placed, cell, bounds, limits, random)
        if positions is not None:
            return positions[np.argsort(order)]
    raise CryinGANError(
        f"region: {len(elements)} atoms do not fit between the slabs with these minimum distances: make its thickness "
        f"({region.thickness:g} Angstrom) larger or the distances smaller"
    )


def minimum_distances(region: Region, placed: set[str], all_elements: set[str]) -> dict[tuple[str, str], float]:
    """Minimum distances of every placed element from every element, Angstrom, by pair in both orders.

    Raises:
        CryinGANError: a pair is missing, or an element is not in the interface.
    """
    given = {frozenset(pair.split("-")): distance for pair, distance in region.minimum_distances.items()}
    if unknown := sorted(set().union(*given) - all_elements):
        raise CryinGANError(f"region: minimum_distances names {', '.join(unknown)}, which the interface does not hold")
    limits = {}
    for one in sorted(placed):
        for other in sorted(all_elements):
            if (pair := frozenset((one, other))) not in given:
                raise CryinGANError(f"region: minimum_distances lacks {one}-{other}")
            limits[one, other] = limits[other, one] = float(given[pair])
    return limits


def _place(
    fixed: Atoms,
    elements: np.ndarray,
    cell: np.ndarray,
    bounds: tuple[float, float],
    limits: dict[tuple[str, str], float],
    random: np.random.Generator,
) -> np.ndarray | None:
    """One attempt: positions in the order of `elements`, or None if an atom finds no place."""
    images = np.array([(i, j, 0) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ cell
    there, symbols = list(fixed.positions), fixed.get_chemical_symbols()
    for element in elements:
        trials = random.uniform(size=(TRIALS_PER_ATOM, 3)) @ np.diag([1, 1, 0]) @ cell
        trials[:, 2] = random.uniform(*bounds, size=TRIALS_PER_ATOM)
        least = np.tile([limits[element, symbol] for symbol in symbols], len(images))
        others = (np.array(there) + images[:, None]).reshape(-1, 3)
        free = (trial for trial in trials if (((trial - others) ** 2).sum(axis=1) >= least**2).all())
        if (found := next(free, None)) is None:
            return None
        there.append(found)
        symbols = [*symbols, element]
    return np.array(there[len(fixed) :])
