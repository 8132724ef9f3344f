"""Distances between the atoms of a periodic structure over all images: exact in any cell, batched, differentiable.

The k nearest images belong to the atom itself and to the k atoms whose nearest images are nearest, so the search has
two steps: the nearest image of every pair, then more images of few atoms. On a CPU the distances found decide how many
images are tried, mostly the wrapped one alone. On an accelerator reading them would make the host wait, so the cell
alone decides, and a CUDA graph can record the search. `cryingan.geometry.lattice` proves which images suffice.
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

# Distances computed at once: on a CPU they fit the cache, on an accelerator a chunk is at most 500 MB in float32.
CHUNK_CPU = 2**17
CHUNK_ACCELERATOR = 2**24


def neighbor_distances(fractional: Tensor, cell: Tensor, k: int) -> Tensor:
    """Distances to the k nearest neighbours of every atom among all periodic images of all atoms (paper, SI).

    An atom's own images count; the atom itself does not. Exact in thin, skewed and left-handed cells. Differentiable in
    `fractional`; the gradient of a zero distance (coincident atoms) is zero.

    Args:
        fractional: fractional coordinates, float32 or float64, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3); on the CPU it makes no accelerator wait.
        k: number of neighbours, at least 1; may exceed the number of atoms.

    Returns:
        Distances in Angstrom, ascending up to rounding, dtype and device of `fractional`, shape (structures, atoms, k).

    Raises:
        CryinGANError: the cell is flat or not finite.

    Example:
        >>> center_and_corner = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]])
        >>> neighbor_distances(center_and_corner, 4.0 * torch.eye(3), k=9)[0, 0]
        tensor([3.4641, 3.4641, 3.4641, 3.4641, 3.4641, 3.4641, 3.4641, 3.4641, 4.0000])
    """
    vectors, _ = neighbor_vectors(fractional, cell, k)
    return torch.linalg.vector_norm(vectors, dim=-1)


def neighbor_vectors(fractional: Tensor, cell: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Vectors to the k nearest neighbours of every atom, as for `neighbor_distances`, and which atoms these are.

    Returns:
        Cartesian vectors in Angstrom, ascending in length up to rounding, shape (structures, atoms, k, 3); their axes
        are those of the reduced cell, so that lengths and angles alone have a meaning. Then the numbers of the
        neighbours, counted over all structures, shape (structures, atoms, k).
    """
    values = _values(cell)
    lattice = reduced_lattice(values)
    reduced = reduced_coordinates(fractional, lattice)
    with torch.no_grad():
        neighbors, images = _select(reduced, values, k)
    difference = reduced.reshape(-1, 3)[neighbors] - reduced[:, :, None]
    difference = difference + (images - difference.detach().round())
    return torch.stack(cartesian(difference.unbind(-1), lattice), dim=-1), neighbors


def pair_distances(fractional: Tensor, cell: Tensor, cutoff: float = math.inf) -> Tensor:
    """Shortest distance of each pair of different atoms over all periodic images, without gradient.

    In Angstrom, shape (structures, atoms, atoms), from arguments as for `neighbor_distances`, with the same errors. The
    diagonal, an atom and itself, is infinity, as are pairs beyond the cutoff; in a skewed cell a small one is faster.
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
    """The k nearest images: their atoms (structures, atoms, k), translations from the wrapped image (..., k, 3).

    Here and below atoms are counted over all structures.
    """
    structures, atoms, _ = reduced.shape
    limit = own_images(cell, k) if atoms <= k else min(own_images(cell, k), reduced_lattice(cell).radius)
    near, farthest = _nearest_atoms(reduced, cell, k, limit)
    neighbors = near if atoms > k else near.new_zeros((len(near), k))
    images = reduced.new_zeros((len(near), k, 3))
    translations, bounds = _translations(cell, limit, reduced.dtype, reduced.device)
    rows = torch.arange(len(near), device=near.device)
    if not cell_decides(near.device):  # up to half the smallest height the wrapped images suffice
        rows = (farthest > reduced_lattice(cell).heights.min() / 2).nonzero()[:, 0]
    for chunk in _chunks(len(rows), (near.shape[1] + 1) * len(translations), near.device):
        some = rows[chunk]
        # The distances found can only shorten the search: the cell's limit is enough for any coordinates.
        reach = limit if cell_decides(near.device) else min(limit, farthest[some].max().item())
        candidates = torch.cat([near[some], some[:, None]], dim=1)
        found = _nearest_images(reduced, candidates, within(translations, bounds, reach), reduced_lattice(cell), k)
        neighbors[some], images[some] = found
    return neighbors.view(structures, atoms, k), images.view(structures, atoms, k, 3)


def _nearest_atoms(reduced: Tensor, cell: CellValues, k: int, limit: float) -> tuple[Tensor, Tensor]:
    """The k other atoms with the nearest images (rows, k), or all if fewer, and the k-th distance (rows,)."""
    structures, atoms, _ = reduced.shape
    lattice, shifts = reduced_lattice(cell), shortening_translations(cell)
    by_cell = cell_decides(reduced.device)
    near = torch.empty((structures, atoms, min(k, atoms - 1)), dtype=torch.long, device=reduced.device)
    farthest = reduced.new_full((structures, atoms), math.inf)
    tried = within(*shifts, limit) if by_cell else []
    for some, rows in _blocks(reduced):
        nearest = _to_others(reduced, some, rows, lattice, tried).topk(near.shape[2], largest=False)
        if atoms > k:
            farthest[some, rows] = nearest.values[..., -1].sqrt()
        if atoms > k and not by_cell:  # try more images if the distances found leave room for nearer ones
            needed = within(*shifts, _reach(farthest[some, rows], lattice))
            if len(needed) > len(tried):
                tried = needed  # and for the blocks that follow, which probably need them too
                nearest = _to_others(reduced, some, rows, lattice, tried).topk(k, largest=False)
                farthest[some, rows] = nearest.values[..., -1].sqrt()
        near[some, rows] = nearest.indices
    near += torch.arange(structures, device=near.device)[:, None, None] * atoms
    return near.flatten(0, 1), farthest.flatten()


def _to_others(reduced: Tensor, some: slice, rows: slice, lattice: Lattice, shifts: Sequence) -> Tensor:
    """Squared distances of a block's atoms to the nearest images of all others; infinity for an atom to itself."""
    vectors = wrapped(reduced[some], reduced[some, rows], lattice)
    distances = shortest_squared(vectors, shifts)
    distances.diagonal(rows.start, 1, 2).fill_(math.inf)
    return distances


def _nearest_images(
    reduced: Tensor, candidates: Tensor, translations: Tensor, lattice: Lattice, k: int
) -> tuple[Tensor, Tensor]:
    """The k nearest images among candidates (rows, candidates), the last one the centre: atoms and translations."""
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
    return farthest.where(farthest > lattice.heights.min() / 2, 0.0).max().item()  # NaN becomes 0


def cell_decides(device: torch.device) -> bool:
    """Whether the cell alone decides how many images are tried: off the CPU, where reading distances is a wait."""
    return device.type != "cpu"


@lru_cache(maxsize=64)
def _translations(cell: CellValues, limit: float, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, list]:
    """Translations (count, 3) on a device, and their bounds; cached, because copying them would make the host wait."""
    integers, bounds = translations_within(cell, limit)
    with torch.inference_mode(False):
        return torch.as_tensor(integers, dtype=dtype, device=device), bounds


def _chunks(count: int, distances_each: int, device: torch.device) -> Iterator[slice]:
    size = max(1, (CHUNK_CPU if device.type == "cpu" else CHUNK_ACCELERATOR) // max(1, distances_each))
    return (slice(start, start + size) for start in range(0, count, size))


def _blocks(reduced: Tensor) -> Iterator[tuple[slice, slice]]:
    """Structures, and atoms of them, whose distances to all others are computed at once."""
    structures, atoms, _ = reduced.shape
    for some in _chunks(structures, atoms**2, reduced.device):
        yield from ((some, rows) for rows in _chunks(atoms, atoms * len(reduced[some]), reduced.device))


def _values(cell: Tensor) -> CellValues:
    return tuple(tuple(row) for row in cell.tolist())
