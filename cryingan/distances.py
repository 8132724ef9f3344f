"""Distances between the atoms of a periodic structure over all images: exact in any cell, batched, differentiable.

Most atoms need one image per pair, the wrapped one; only those whose neighbours are far for the cell are searched for
among more. `lattice` says which images are enough and proves it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cryingan.lattice import (
    SLACK,
    CellValues,
    Lattice,
    own_images,
    reduced_lattice,
    shortening_translations,
    translations_within,
)

# Distances worked on at once. On a CPU they stay in the cache; elsewhere a chunk takes at most some 500 MB in float32.
CHUNK_CPU = 2**17
CHUNK_ACCELERATOR = 2**24


def neighbor_distances(fractional: Tensor, cell: Tensor, k: int) -> Tensor:
    """Distances to the k nearest neighbours of every atom among all periodic images of all atoms (paper, SI).

    An atom's own images count, the atom itself does not. Exact in thin, skewed and left-handed cells. Differentiable in
    `fractional`; the gradient of a zero distance (coincident atoms) is zero.

    Args:
        fractional: fractional coordinates, float32 or float64, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3); kept on the CPU, it makes no accelerator wait.
        k: number of neighbours, at least 1; may exceed the number of atoms.

    Returns:
        Distances in Angstrom, ascending up to rounding, dtype and device of `fractional`, shape (structures, atoms, k).

    Raises:
        CryinGANError: the cell is flat or not finite.
    """
    values = _values(cell)
    lattice = reduced_lattice(values)
    reduced = _transform(fractional, lattice)
    with torch.no_grad():
        neighbors, images = _select(reduced, values, k)
    structures, atoms, _ = reduced.shape
    start = torch.arange(structures, device=reduced.device)[:, None, None] * atoms
    difference = reduced.reshape(-1, 3)[neighbors + start] - reduced[:, :, None]
    difference = difference + (images - difference.detach().round())
    vectors = torch.stack(_cartesian(difference.unbind(-1), lattice), dim=-1)
    return torch.linalg.vector_norm(vectors, dim=-1)


def pair_distances(fractional: Tensor, cell: Tensor, cutoff: float = math.inf) -> Tensor:
    """Shortest distance of each pair of different atoms over all periodic images; carries no gradient.

    Args:
        fractional: fractional coordinates, float32 or float64, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        cutoff: pairs farther apart come out as infinity, Angstrom; in a skewed cell a small one is faster.

    Returns:
        Distances in Angstrom, shape (structures, atoms, atoms). The diagonal, an atom and itself, is infinity.

    Raises:
        CryinGANError: the cell is flat or not finite.
    """
    values = _values(cell)
    lattice = reduced_lattice(values)
    shifts = shortening_translations(values, cutoff)
    with torch.no_grad():
        reduced = _transform(fractional, lattice)
        structures, atoms, _ = reduced.shape
        distances = reduced.new_empty((structures, atoms, atoms))
        for chunk in _chunks(structures, atoms**2, reduced.device):
            vectors = _wrapped(reduced[chunk], reduced[chunk], lattice)
            squared = _squared(vectors)
            for shift in shifts:
                squared = torch.minimum(squared, _squared(vectors, shift))
            shortest = squared.sqrt_()
            shortest.diagonal(dim1=1, dim2=2).fill_(math.inf)
            distances[chunk] = shortest.masked_fill_(shortest > cutoff, math.inf)
        return distances


def _select(reduced: Tensor, cell: CellValues, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest: their atoms (structures, atoms, k) and their translations from the wrapped image (..., k, 3)."""
    lattice = reduced_lattice(cell)
    structures, atoms, _ = reduced.shape
    neighbors = torch.zeros((structures, atoms, k), dtype=torch.long, device=reduced.device)
    images = reduced.new_zeros((structures, atoms, k, 3))
    farthest = reduced.new_full((structures, atoms), math.inf)
    if atoms > k:
        for chunk in _chunks(structures, atoms**2, reduced.device):
            squared = _squared(_wrapped(reduced[chunk], reduced[chunk], lattice))
            squared.diagonal(dim1=1, dim2=2).fill_(math.inf)
            nearest, neighbors[chunk] = squared.topk(k, largest=False)
            farthest[chunk] = nearest[..., -1].sqrt()
    unsure = (farthest > lattice.heights.min() / 2).nonzero()
    if len(unsure):
        own = own_images(cell, k)
        integers, bounds = translations_within(cell, own if atoms <= k else min(own, lattice.radius))
        reach = min(own, farthest[tuple(unsure.T)].max().item())
        translations = torch.as_tensor(integers[: bisect_right(bounds, reach * (1 + SLACK))]).to(reduced)
        _search(reduced, unsure, translations, lattice, neighbors, images)
    return neighbors, images


def _search(
    reduced: Tensor, unsure: Tensor, translations: Tensor, lattice: Lattice, neighbors: Tensor, images: Tensor
) -> None:
    """Writes the neighbours of the atoms `unsure` (count, 2), found through `translations`, into the last two."""
    atoms, k = neighbors.shape[1:]
    shifts = [shift[:, None] for shift in _cartesian(translations.unbind(-1), lattice)]
    for chunk in _chunks(len(unsure), atoms * len(translations), reduced.device):
        structure, atom = unsure[chunk].unbind(-1)
        vectors = _wrapped(reduced[structure], reduced[structure, atom][:, None], lattice)
        squared = _squared(vectors, shifts)  # (rows, translations, atoms)
        squared[torch.arange(len(atom), device=atom.device), 0, atom] = math.inf
        nearest = squared.flatten(1).topk(k, largest=False).indices
        neighbors[structure, atom] = nearest % atoms
        images[structure, atom] = translations[nearest // atoms]


def _chunks(count: int, distances_each: int, device: torch.device) -> Iterator[slice]:
    size = max(1, (CHUNK_CPU if device.type == "cpu" else CHUNK_ACCELERATOR) // max(1, distances_each))
    return (slice(start, start + size) for start in range(0, count, size))


def _transform(fractional: Tensor, lattice: Lattice) -> Tensor:
    """Fractional coordinates in the reduced cell; sums, because TF32 and autocast would spoil a matrix product."""
    return torch.stack(
        [
            sum(
                component * row[column] for component, row in zip(fractional.unbind(-1), lattice.transform, strict=True)
            )
            for column in range(3)
        ],
        dim=-1,
    )


def _wrapped(others: Tensor, centers: Tensor, lattice: Lattice) -> list[Tensor]:
    """Wrapped vectors from `centers` (..., c, 3) to `others` (..., n, 3): x, y, z in Angstrom, each (..., c, n)."""
    differences = []
    for other, center in zip(others.unbind(-1), centers.unbind(-1), strict=True):
        difference = other[..., None, :] - center[..., :, None]
        differences.append(difference.sub_(difference.round()))
    return _cartesian(differences, lattice)


def _cartesian(difference: Sequence[Tensor], lattice: Lattice) -> list[Tensor]:
    """x, y, z in Angstrom from the three components of a reduced fractional difference."""
    vectors = []
    for column in range(3):
        vector = difference[column] * lattice.rows[column][column]
        for row in range(column + 1, 3):
            if lattice.rows[row][column]:
                vector = vector.add(difference[row], alpha=lattice.rows[row][column])
        vectors.append(vector)
    return vectors


def _squared(vectors: Sequence[Tensor], shift: Sequence[Tensor | float] | None = None) -> Tensor:
    x, y, z = vectors if shift is None else [v + s for v, s in zip(vectors, shift, strict=True)]
    return (x * x).addcmul_(y, y).addcmul_(z, z)


def _values(cell: Tensor) -> CellValues:
    return tuple(tuple(row) for row in cell.tolist())
