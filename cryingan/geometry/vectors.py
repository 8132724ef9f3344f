"""Vectors between atoms of periodic structures, component by component, so that nothing is copied or summed twice.

x, y and z are separate tensors. Sums of products replace matrix products, whose precision TF32 and autocast reduce.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.lattice import Lattice


def reduced_coordinates(fractional: Tensor, lattice: Lattice) -> Tensor:
    """Fractional coordinates (..., 3) in the reduced cell, not wrapped."""
    components = fractional.unbind(-1)
    columns = zip(*lattice.transform, strict=True)
    reduced = [sum(x * factor for x, factor in zip(components, column, strict=True)) for column in columns]
    return torch.stack(reduced, dim=-1)


def wrapped(others: Tensor, centers: Tensor, lattice: Lattice) -> list[Tensor]:
    """Wrapped vectors from `centers` (..., c, 3) to `others` (..., n, 3): x, y, z in Angstrom, each (..., c, n)."""
    differences = []
    for other, center in zip(others.unbind(-1), centers.unbind(-1), strict=True):
        difference = other[..., None, :] - center[..., :, None]
        differences.append(difference.sub_(difference.round()))
    return cartesian(differences, lattice)


def cartesian(difference: Sequence[Tensor], lattice: Lattice) -> list[Tensor]:
    """x, y, z in Angstrom from the three components of a reduced fractional difference."""
    vectors = []
    for column in range(3):
        vector = difference[column] * lattice.rows[column][column]
        for row in range(column + 1, 3):
            if lattice.rows[row][column]:
                vector = vector.add(difference[row], alpha=lattice.rows[row][column])
        vectors.append(vector)
    return vectors


def combined(coefficients: Tensor, rows: np.ndarray) -> Tensor:
    """Sums of vectors, given as rows (3, 3), with coefficients (..., 3): (..., 3)."""
    return sum(coefficients[..., k, None] * coefficients.new_tensor(rows[k]) for k in range(3))


def shortest_squared(vectors: Sequence[Tensor], shifts: Sequence[Sequence[float]]) -> Tensor:
    """Squared distances through the wrapped image or one that a vector of `shifts` (Angstrom) leads to from there."""
    shortest = squared(vectors)
    for shift in shifts:
        shortest = torch.minimum(shortest, squared([v + s for v, s in zip(vectors, shift, strict=True)]))
    return shortest


def squared(vectors: Sequence[Tensor]) -> Tensor:
    """Squared length of vectors given by x, y and z."""
    x, y, z = vectors
    return (x * x).addcmul_(y, y).addcmul_(z, z)
