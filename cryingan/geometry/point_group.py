"""Turns and mirrors that map a lattice onto itself."""

from __future__ import annotations

from itertools import product

import numpy as np

from cryingan.geometry.lattice import reduced_lattice

TOLERANCE = 1e-3  # of scalar products of lattice vectors, over their lengths


def point_group(cell: np.ndarray) -> np.ndarray:
    """Operations of the point group of a lattice, on fractional coordinates.

    In a reduced basis their entries are -1, 0 and 1.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).

    Returns:
        Integers, shape (operations, 3, 3), the identity first: coordinates `x @ operation`.

    Raises:
        CryinGANError: the cell is flat or not finite.

    Example:
        >>> len(point_group(np.diag([3.0, 3.0, 5.0]))), len(point_group(np.array([[3, 0, 0], [1, 4, 0], [1, 1, 6]])))
        (16, 2)
    """
    lattice = reduced_lattice(tuple(map(tuple, np.asarray(cell, dtype=float).tolist())))
    transform, metric = np.array(lattice.transform), np.array(lattice.rows) @ np.array(lattice.rows).T
    candidates = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    moved = candidates @ metric @ candidates.transpose(0, 2, 1)
    lengths = np.sqrt(np.diag(metric))
    same = (np.abs(moved - metric) <= TOLERANCE * np.outer(lengths, lengths)).all(axis=(1, 2))
    found = transform @ candidates[same] @ np.linalg.inv(transform)
    order = np.argsort(-found.trace(axis1=1, axis2=2), kind="stable")
    return np.rint(found[order]).astype(int)
