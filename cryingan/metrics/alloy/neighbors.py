"""Neighbours in an fcc structure whose cube axes point anywhere, without numbered sites.

An ideal point is an atom's position plus a vector of the lattice; the atom nearest to it within the margin is the
neighbour. Only differences of positions enter, so that neither origin nor choice of images matters.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cryingan.geometry.neighbors import images_within, neighbors
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, FIRST, MARGIN, SECOND, SPECIES, shell_vectors

EDGE_RANGE = (3.2 / 3.6, 4.0 / 3.6)
"""Distances that count as the second shell, between the first and the third, in lattice constants."""


def ideal_vectors(axes: np.ndarray) -> list[np.ndarray]:
    """`shell_vectors` in Angstrom for a conventional cell with edges `axes` in rows, Angstrom, shape (3, 3)."""
    return [vectors / 2 @ axes for vectors in shell_vectors()]


def partners(positions: np.ndarray, cell: np.ndarray, vectors: np.ndarray, decimals: int | None = None) -> np.ndarray:
    """Index of the atom nearest to each ideal point, or -1 if none is within the margin, shape (atoms, vectors).

    Args:
        positions: of the atoms, Angstrom, shape (atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        vectors: from an atom to its ideal points, Angstrom, shape (vectors, 3).
        decimals: to which fractional coordinates of ideal points are rounded; upstream takes 3, None does not round.
    """
    points = (positions[:, None] + vectors).reshape(-1, 3)
    if decimals is not None:
        points = (points @ np.linalg.inv(cell)).round(decimals) @ cell
    return nearest_atoms(points, positions, cell).reshape(len(positions), len(vectors))


def nearest_atoms(points: np.ndarray, positions: np.ndarray, cell: np.ndarray, cutoff: float = MARGIN) -> np.ndarray:
    """Index of the atom nearest to each point (points, 3), over all images, or -1 if none is within the cutoff.

    Points, positions (atoms, 3), cell and cutoff are in Angstrom.
    """
    point, atom, _, distance = images_within(_wrapped(points, cell), _wrapped(positions, cell), cell, cutoff)
    nearest = np.full(len(points), -1)
    order = np.argsort(-distance, kind="stable")
    nearest[point[order]] = atom[order]  # the nearest is written last
    return nearest


def surroundings(atoms: Atoms, shells: list[np.ndarray], decimals: int | None = None) -> tuple[np.ndarray, int]:
    """Clusters per atom and vacancies of a structure all of whose atoms lie on one lattice.

    Its `shells` are those of `ideal_vectors`, Angstrom. Clusters are ordered as `CLUSTER_NAMES`, shape (45,), NaN
    without atoms. Vacancies are nearest-neighbour points without an atom; points within the margin of each other are
    one. `decimals` as in `partners`.
    """
    positions, cell = atoms.positions, atoms.cell.array
    if len(atoms) == 0:
        return np.full(len(CLUSTER_NAMES), np.nan), 0
    kinds = np.array([SPECIES.index(symbol) for symbol in atoms.get_chemical_symbols()])
    ends = np.cumsum([len(vectors) for vectors in shells])[:-1]
    held = np.split(partners(positions, cell, np.concatenate(shells), decimals), ends, axis=1)
    columns = [np.bincount(kinds, minlength=len(SPECIES))]
    for around in held:
        atom, which = np.nonzero(around >= 0)
        ordered = np.zeros((len(SPECIES),) * 2)
        np.add.at(ordered, (kinds[atom], kinds[around[atom, which]]), 1)
        columns.append((ordered + ordered.T)[FIRST, SECOND] / np.where(FIRST == SECOND, 4, 2))
    atom, which = np.nonzero(held[0] < 0)
    empty = positions[atom] + shells[0][which]
    vacancies = len(np.unique(pieces(len(empty), *pairs_within(empty, cell, MARGIN)[:2])))
    return np.concatenate(columns) / len(atoms), vacancies


def pairs_within(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First atoms, second atoms and vectors (pairs, 3) of the ordered pairs within a cutoff, as `neighbors` has them.

    All lengths are in Angstrom. Positions (atoms, 3) need not be in the cell.
    """
    inside = _wrapped(positions, cell)
    first, second, image = neighbors(inside, cell, cutoff)
    return first, second, inside[second] + image @ cell - inside[first]


def second_shell(positions: np.ndarray, cell: np.ndarray, constant: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms about a lattice constant apart: first atoms, in order, and vectors (pairs, 3).

    All lengths are in Angstrom; positions have the shape (atoms, 3).
    """
    shortest, longest = (limit * constant for limit in EDGE_RANGE)
    first, _, vectors = pairs_within(positions, cell, longest)
    far = np.linalg.norm(vectors, axis=1) >= shortest
    return first[far], vectors[far]


def pieces(points: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number of the connected piece that every point is in, shape (points,), from pairs of points, (pairs,) each."""
    return connected_components(csr_array((np.ones(len(first)), (first, second)), shape=(points, points)))[1]


def _wrapped(positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The images inside the cell, where a search for neighbours is quick."""
    return positions @ np.linalg.inv(cell) % 1.0 @ cell
