"""Periodic neighbours within a cut-off, and nearest periodic images.

The search sorts atoms into boxes as wide as the cut-off, so it suits cells of up to some hundred cut-offs. Larger ones
need trees, as in `cryingan.structures.checks`.
"""

from __future__ import annotations

from itertools import product

import numpy as np

SAME_POINT = 1e-8  # Angstrom; an atom is no neighbour of itself


def images_within(
    points: np.ndarray, positions: np.ndarray, cell: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All periodic images of atoms within a cut-off of points, sorted by point.

    Args:
        points: Cartesian, Angstrom, shape (points, 3).
        positions: of the atoms, likewise, shape (atoms, 3). Far outside of the cell they make the search slow.
        cell: lattice vectors in rows, Angstrom, shape (3, 3); may be thin, skewed or left-handed.
        cutoff: Angstrom.

    Returns:
        Point (pairs,), atom (pairs,), integer image of the atom (pairs, 3) and distance, Angstrom (pairs,).
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    if len(points) == 0 or len(positions) == 0:  # the search needs some
        return np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty((0, 3), dtype=int), np.empty(0)
    positions, points, cell = (np.ascontiguousarray(array) for array in (positions, points, cell))
    periodic = np.ones(3, dtype=np.int64)
    return find_points_in_spheres(positions, points, r=cutoff, pbc=periodic, lattice=cell, tol=SAME_POINT)


def neighbors(positions: np.ndarray, cell: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All periodic neighbours within a cut-off, images of an atom itself included, sorted by source atom.

    Arguments are as for `images_within`. Returns source atom (pairs,), target atom (pairs,) and integer image of the
    target (pairs, 3): it lies at `positions[target] + image @ cell`.

    Example:
        >>> source, target, image = neighbors(np.zeros((1, 3)), 3.0 * np.eye(3), cutoff=3.5)  # simple cubic
        >>> len(source)
        6
    """
    source, target, image, distance = images_within(positions, positions, cell, cutoff)
    other = (source != target) | (distance > SAME_POINT)
    return source[other], target[other], image[other]


def other_neighbors(source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every pair of `neighbors` all other pairs of its source atom: the three-body terms of a potential.

    Args:
        source: source atom of every pair, sorted, shape (pairs,).

    Returns:
        Index of the pair and index of the other pair, shape (triplets,).

    Example:
        >>> [side.tolist() for side in other_neighbors(np.array([0, 0, 0, 2]))]
        [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    """
    counts = np.bincount(source)
    each = counts[source]  # pairs of the same source
    pair = np.repeat(np.arange(len(source)), each)
    start = (np.cumsum(counts) - counts)[source]
    other = np.arange(len(pair)) - np.repeat(np.cumsum(each) - each - start, each)
    different = pair != other
    return pair[different], other[different]


class NearestImage:
    """Shortest vectors between periodic images, exact in any cell; `shortest` is the length of a lattice vector."""

    def __init__(self, cell: np.ndarray) -> None:
        from ase.geometry import minkowski_reduce

        # In a Minkowski-reduced cell the nearest image is at most one cell away from the wrapped vector.
        self.cell, _ = minkowski_reduce(cell)
        self.inverse = np.linalg.inv(self.cell)
        self.images = np.array(list(product((-1, 0, 1), repeat=3))) @ self.cell
        self.shortest = float(np.linalg.norm(self.cell, axis=1).min())

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """The shortest vectors that differ from `vectors` (count, 3), in Angstrom, by lattice vectors."""
        vectors = vectors - np.rint(vectors @ self.inverse) @ self.cell
        # A vector of at most half the shortest lattice vector is the shortest.
        doubtful = np.flatnonzero((vectors**2).sum(axis=1) > (self.shortest / 2) ** 2)
        images = vectors[doubtful, None] + self.images
        best = (images**2).sum(axis=2).argmin(axis=1)
        vectors[doubtful] = images[np.arange(len(doubtful)), best]
        return vectors
