"""The other side of `benchmarks.distances`: brute force over images, as a first version would write it."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

NEIGHBORING = tuple(product((-1, 0, 1), repeat=3))


def plain_distances(fractional: Tensor, cell: Tensor, k: int, images: tuple = NEIGHBORING) -> Tensor:
    """The k nearest of all atoms of some images, the gradient left to autograd.

    Args:
        fractional: fractional coordinates within [0, 1), (structures, atoms, 3).
        cell: lattice vectors in rows, (3, 3), dtype and device of `fractional`.
        k: number of neighbours.
        images: integer translations, by default the 27 of the cell and those around it.

    Returns:
        Distances, ascending, (structures, atoms, k).
    """
    return _nearest(fractional, cell, k, images).values[..., 1:]  # the first is the atom itself


def images_that_matter(fractional: Tensor, cell: Tensor, k: int) -> tuple:
    """The translations by which some neighbour of these structures is reached: no brute force gets by with fewer."""
    fractional, cell = fractional.double().cpu(), cell.double().cpu()
    heights = 1 / torch.linalg.inv(cell).norm(dim=0)
    reach = torch.ones(3)
    while True:
        images = tuple(product(*(range(-int(side), int(side) + 1) for side in reach)))
        found = [_nearest(structure[None], cell, k, images) for structure in fractional]
        # Through T an atom of [0, 1) is at least (|T_m| - 1) heights away.
        wanted = (max(one.values.max() for one in found) / heights).floor() + 1
        if (wanted <= reach).all():
            used = torch.cat([one.indices.flatten() for one in found]) // fractional.shape[1]
            return tuple(images[index] for index in used.unique())
        reach = torch.maximum(reach, wanted)


def _nearest(fractional: Tensor, cell: Tensor, k: int, images: tuple) -> torch.return_types.topk:
    shifts = torch.tensor(images, dtype=fractional.dtype, device=fractional.device)
    points = (fractional[:, None] + shifts[:, None]).flatten(1, 2) @ cell
    # By a matrix product it would be quicker, and wrong by 1e-4 Angstrom in float32.
    distances = torch.cdist(fractional @ cell, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.topk(k + 1, largest=False)
