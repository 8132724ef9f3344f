"""Pairs of atoms of two structures whose squared distances have the least sum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from cryingan.geometry.lattice import reduced_lattice, shortening_translations
from cryingan.geometry.vectors import reduced_coordinates, shortest_squared, wrapped


def squared_distances(ones: np.ndarray, others: np.ndarray, cell: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances between nearest images of the atoms of each structure and those of all others.

    Args:
        ones: fractional coordinates, shape (structures, atoms, 3); need not be wrapped.
        others: likewise, shape (others, other atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).

    Yields:
        For each of `ones` Angstrom^2, exact in any cell, shape (others, atoms, other atoms).
    """
    values = tuple(map(tuple, cell.tolist()))
    lattice, (shifts, _) = reduced_lattice(values), shortening_translations(values)
    ones, others = (reduced_coordinates(torch.from_numpy(np.ascontiguousarray(x)), lattice) for x in (ones, others))
    for one in ones:
        yield shortest_squared(wrapped(others, one[None], lattice), shifts).numpy()


def assignment(costs: np.ndarray) -> tuple[np.ndarray, float]:
    """For each row of a matrix of costs its column, so that the sum is least, and that sum (Hungarian algorithm)."""
    rows, columns = linear_sum_assignment(costs)
    return columns, costs[rows, columns].sum()
