"""Distances between the atoms of a periodic structure over all images: exact in any cell, batched, differentiable.

The k nearest images are images of the atom itself and of the k atoms whose nearest images are nearest: any other atom
is farther than k images already. So two steps find them, the nearest image of every pair, and more images of few atoms.
On a CPU the distances found decide how much of this is needed, mostly one image per pair, the wrapped one. On an
accelerator a look at them would make the host wait, so there the cell alone decides, and a CUDA graph can record it.
`lattice` says which images are enough and proves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from cryingan.geometry.lattice import (
    CellValues,
    Lattice,
    own_images,
    reduced_lattice,
    shortening_translations,
    translations_within,
    within,
)
from cryingan.geometry.vectors import cartesian, reduced_coordinates, shortest_squared, squared, wrapped

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
    reduced = reduced_coordinates(fractional, lattice)
    with torch.no_grad():
        neighbors, images = _select(reduced, values, k)
    difference = reduced.reshape(-1, 3)[neighbors] - reduced[:, :, None]
    difference = difference + (images - difference.detach().round())
    vectors = torch.stack(cartesian(difference.unbind(-1), lattice), dim=-1)
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
    shifts = within(*shortening_translations(values), cutoff)
    with torch.no_grad():
        reduced = reduced_coordinates(fractional, lattice)
        structures, atoms, _ = reduced.shape
        distances = reduced.new_empty((structures, atoms, atoms))
        for some, rows in _blocks(reduced):
            shortest = _to_others(reduced, some, rows, lattice, shifts).sqrt_()
            distances[some, rows] = shortest.masked_fill_(shortest > cutoff, math.inf)
        return distances


def _select(reduced: Tensor, cell: CellValues, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest: their atoms (structures, atoms, k) and their translations from the wrapped image (..., k, 3).

    Here and below atoms are counted over all structures.
    """
    structures, atoms, _ = reduced.shape
    limit = own_images(cell, k) if atoms <= k else min(own_images(cell, k), reduced_lattice(cell).radius)
    near, farthest = _nearest_atoms(reduced, cell, k, limit)
    neighbors = near if atoms > k else near.new_zeros((len(near), k))
    images = reduced.new_zeros((len(near), k, 3))
    translations, bounds = _translations(cell, limit, reduced.dtype, reduced.device)
    rows = torch.arange(len(near), device=near.device)
    if not _fixed(near.device):
        rows = (farthest > reduced_lattice(cell).heights.min() / 2).nonzero()[:, 0]
    for chunk in _chunks(len(rows), (near.shape[1] + 1) * len(translations), near.device):
        some = rows[chunk]
        reach = limit if _fixed(near.device) else min(limit, farthest[some].max().item())
        candidates = torch.cat([near[some], some[:, None]], dim=1)
        found = _nearest_images(reduced, candidates, within(translations, bounds, reach), reduced_lattice(cell), k)
        neighbors[some], images[some] = found
    return neighbors.view(structures, atoms, k), images.view(structures, atoms, k, 3)


def _nearest_atoms(reduced: Tensor, cell: CellValues, k: int, limit: float) -> tuple[Tensor, Tensor]:
    """The k other atoms with the nearest images (rows, k), all where they are fewer, and the k-th distance (rows,)."""
    structures, atoms, _ = reduced.shape
    lattice, shifts, fixed = reduced_lattice(cell), shortening_translations(cell), _fixed(reduced.device)
    near = torch.empty((structures, atoms, min(k, atoms - 1)), dtype=torch.long, device=reduced.device)
    farthest = reduced.new_full((structures, atoms), math.inf)
    tried = within(*shifts, limit) if fixed else []
    for some, rows in _blocks(reduced):
        nearest = _to_others(reduced, some, rows, lattice, tried).topk(near.shape[2], largest=False)
        if atoms > k:
            farthest[some, rows] = nearest.values[..., -1].sqrt()
        if atoms > k and not fixed:
            wanted = within(*shifts, _reach(farthest[some, rows], lattice))
            if len(wanted) > len(tried):
                tried = wanted  # from now on: other atoms will want them too
                nearest = _to_others(reduced, some, rows, lattice, tried).topk(k, largest=False)
                farthest[some, rows] = nearest.values[..., -1].sqrt()
        near[some, rows] = nearest.indices
    near += torch.arange(structures, device=near.device)[:, None, None] * atoms
    return near.flatten(0, 1), farthest.flatten()


def _to_others(reduced: Tensor, some: slice, rows: slice, lattice: Lattice, shifts: Sequence) -> Tensor:
    """Squared distances of a block's atoms to the nearest images of all others; of an atom to itself infinity."""
    vectors = wrapped(reduced[some], reduced[some, rows], lattice)
    distances = shortest_squared(vectors, shifts)
    distances.diagonal(rows.start, 1, 2).fill_(math.inf)
    return distances


def _nearest_images(
    reduced: Tensor, candidates: Tensor, translations: Tensor, lattice: Lattice, k: int
) -> tuple[Tensor, Tensor]:
    """The k nearest images of some atoms (rows, candidates), the last of which is the centre: atoms, translations."""
    points = reduced.reshape(-1, 3)[candidates]
    differences = points - points[:, -1:]
    wraps = (differences - differences.round()).unbind(-1)
    shifted = [wrap[:, None] + shift[:, None] for wrap, shift in zip(wraps, translations.unbind(-1), strict=True)]
    distances = squared(cartesian(shifted, lattice))  # (rows, translations, candidates)
    distances[:, 0, -1].fill_(math.inf)
    nearest = distances.flatten(1).topk(k, largest=False).indices
    count = candidates.shape[1]
    return candidates.gather(1, nearest % count), translations[nearest // count]


def _reach(farthest: Tensor, lattice: Lattice) -> float:
    """The largest distance for which the wrapped image may not be the nearest, Angstrom; 0 if there is none."""
    return farthest.where(farthest > lattice.heights.min() / 2, 0.0).max().item()  # NaN is left out


def _fixed(device: torch.device) -> bool:
    """Whether the same is done whatever the distances are, because the host would wait for them."""
    return device.type != "cpu"


@lru_cache(maxsize=64)
def _translations(cell: CellValues, limit: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list]:
    """Translations (count, 3) on a device, and their bounds; kept there, as copying them would make the host wait."""
    integers, bounds = translations_within(cell, limit)
    with torch.inference_mode(False):
        return torch.as_tensor(integers, dtype=dtype, device=device), bounds


def _chunks(count: int, distances_each: int, device: torch.device) -> Iterator[slice]:
    size = max(1, (CHUNK_CPU if device.type == "cpu" else CHUNK_ACCELERATOR) // max(1, distances_each))
    return (slice(start, start + size) for start in range(0, count, size))


def _blocks(reduced: Tensor) -> Iterator[tuple[slice, slice]]:
    """Structures, and atoms of them, whose distances to all others are worked on at once."""
    structures, atoms, _ = reduced.shape
    for some in _chunks(structures, atoms**2, reduced.device):
        yield from ((some, rows) for rows in _chunks(atoms, atoms * len(reduced[some]), reduced.device))


def _values(cell: Tensor) -> CellValues:
    return tuple(tuple(row) for row in cell.tolist())
