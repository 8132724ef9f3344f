"""What a cell alone decides about periodic images: its reduced form, and the translations that a search must try.

Write a pair as (d + T) R with R a reduced cell with rows R_m and heights h_m, d the fractional difference wrapped to
[-1/2, 1/2]^3, and T an integer translation.

1. The component of (d + T) R along the normal of face m is at least (|T_m| - 1/2) h_m.
2. |(d + T) R| >= |T R| - r with r = max |d R|, half the longest body diagonal (a convex function has its maximum at a
   corner).

The larger of the two is the *bound* of T: no pair is nearer through T. For T != 0 it is at least half the smallest
height, so an atom whose k-th wrapped neighbour is within that height needs no other image. For the other atoms the k-th
neighbour lies within the k-th shortest lattice vector (own images) and, if there are k other atoms, within the k-th
wrapped one. Translations with a greater bound bring nothing nearer; by 1 those within it are finitely many.

3. T shortens some wrapped difference if and only if |T R|^2 < max_d -2 d R . T R = sum_m |R_m . T R|. So the shortest
   image of every pair is the wrapped one or through one of these T, which have |T R| < sum_m |R_m|; an orthogonal cell
   has none.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from cryingan.errors import CryinGANError

# Relative widening of every limit: far above float32 rounding, so that rounding loses no image.
SLACK = 1e-4
# Relative gain below which a translation shortens a wrapped difference by rounding only.
ROUNDING = 1e-9
# A cell whose volume is this fraction of the box of its edges, or less, is flat.
FLAT = 1e-10

CellValues = tuple[tuple[float, float, float], ...]


class Lattice(NamedTuple):
    """A reduced cell.

    Attributes:
        transform: integers that take fractional coordinates to the reduced cell, fractional @ transform, 3 rows.
        rows: its lattice vectors, rotated so that they are lower triangular, Angstrom, 3 rows.
        heights: distances between its opposite faces, Angstrom, shape (3,).
        radius: no wrapped difference is longer, Angstrom (r of the proof).
    """

    transform: list[list[float]]
    rows: list[list[float]]
    heights: np.ndarray
    radius: float


@lru_cache(maxsize=64)
def reduced_lattice(cell: CellValues) -> Lattice:
    """Minkowski-reduced form of a cell given by rows in Angstrom.

    Raises:
        CryinGANError: the cell is flat or not finite.
    """
    from ase.geometry import minkowski_reduce

    vectors = np.array(cell, dtype=np.float64)
    volume = abs(np.linalg.det(vectors)) if vectors.shape == (3, 3) and np.isfinite(vectors).all() else 0.0
    if not volume > FLAT * np.linalg.norm(vectors, axis=-1).prod():
        raise CryinGANError(f"the cell {vectors.tolist()} must be three finite vectors that do not lie in a plane")
    reduced, operation = minkowski_reduce(vectors)  # reduced = operation @ vectors
    rows = np.linalg.cholesky(reduced @ reduced.T)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(rows), axis=0)
    corners = np.array(list(product((-0.5, 0.5), repeat=3)))
    radius = float(np.linalg.norm(corners @ rows, axis=1).max())
    return Lattice(np.rint(np.linalg.inv(operation)).tolist(), rows.tolist(), heights, radius)


@lru_cache(maxsize=256)
def own_images(cell: CellValues, k: int) -> float:
    """Length of the k-th shortest lattice vector, Angstrom: every atom has k images of its own within it."""
    lattice = reduced_lattice(cell)
    side = next(side for side in range(1, k + 1) if (2 * side + 1) ** 3 > k)
    nearby = np.sort(np.linalg.norm(_grid([side] * 3) @ lattice.rows, axis=1))[k]
    on_a_line = math.ceil(k / 2) * np.linalg.norm(lattice.rows, axis=1).min()
    box = min(nearby, on_a_line) * (1 + SLACK) / lattice.heights
    return float(np.sort(np.linalg.norm(_grid(box) @ lattice.rows, axis=1))[k])


@lru_cache(maxsize=256)
def translations_within(cell: CellValues, limit: float) -> tuple[np.ndarray, list[float]]:
    """All translations (count, 3) with their bounds, within `limit` Angstrom, by increasing bound, zero first."""
    lattice = reduced_lattice(cell)
    integers = _grid(limit * (1 + SLACK) / lattice.heights + 0.5)
    bounds = _bounds(integers, lattice)
    order = np.lexsort((np.abs(integers).sum(axis=1), bounds))
    order = order[bounds[order] <= limit * (1 + SLACK)]
    return integers[order], bounds[order].tolist()


@lru_cache(maxsize=256)
def shortening_translations(cell: CellValues) -> tuple[list[list[float]], list[float]]:
    """Lattice vectors that bring some pair nearer than wrapping does, by increasing bound, with bounds; Angstrom."""
    lattice = reduced_lattice(cell)
    rows = np.array(lattice.rows)
    integers = _grid(np.linalg.norm(rows, axis=1).sum() / lattice.heights)
    vectors, bounds = integers @ rows, _bounds(integers, lattice)
    shortens = (vectors**2).sum(axis=1) * (1 + ROUNDING) < np.abs(vectors @ rows.T).sum(axis=1)
    order = np.flatnonzero(shortens)[bounds[shortens].argsort(kind="stable")]
    return vectors[order].tolist(), bounds[order].tolist()


def within(items: Sequence, bounds: list[float], reach: float) -> Sequence:
    """The first of `items`, with bounds up to `reach`; `bounds` ascend."""
    return items[: bisect_right(bounds, reach * (1 + SLACK))]


def _bounds(integers: np.ndarray, lattice: Lattice) -> np.ndarray:
    by_faces = ((np.abs(integers) - 0.5) * lattice.heights).max(axis=1)
    by_length = np.linalg.norm(integers @ lattice.rows, axis=1) - lattice.radius
    return np.maximum(np.maximum(by_faces, by_length), 0.0)


def _grid(box: Sequence[float]) -> np.ndarray:
    """All integer triples within +-floor(box), shape (count, 3)."""
    axes = [np.arange(-int(side), int(side) + 1, dtype=np.float64) for side in box]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
