"""Edges between atoms of periodic structures within a cut-off, over all images, each with its reverse."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.lattice import SLACK, CellValues, Lattice, reduced_lattice, translations_within
from cryingan.geometry.vectors import cartesian, combined, reduced_coordinates, squared

CHUNK = 2**22  # distances computed at once


@torch.no_grad()
def edges_within(
    fractional: Tensor, cell: Tensor, cutoff: float, most: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """All edges within a cut-off, images of an atom itself included, exact in any cell; without gradient.

    With `most` an edge stays if it is among the `most` shortest of one of its ends, so that neither the order of atoms
    nor that of the ends matters. Edges as long as the last of these stay, too.

    Args:
        fractional: fractional coordinates, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        cutoff: Angstrom.
        most: edges of an atom, or None for all.

    Returns:
        Sources and targets, atoms counted over all structures, both (edges,), and the vectors from source to target,
        Angstrom, shape (edges, 3). The second half are the reverses of the first, in the same order.

    Raises:
        CryinGANError: the cell is flat or not finite.

    Example:
        >>> source, target, vectors = edges_within(torch.zeros(1, 1, 3), 3.0 * torch.eye(3), 3.5)  # simple cubic
        >>> len(source), vectors.norm(dim=-1)
        (6, tensor([3., 3., 3., 3., 3., 3.]))
    """
    values: CellValues = tuple(map(tuple, cell.tolist()))
    lattice = reduced_lattice(values)
    images = torch.from_numpy(translations_within(values, cutoff)[0]).to(fractional)
    reduced = reduced_coordinates(fractional, lattice)
    structures, atoms, _ = reduced.shape
    size = max(1, CHUNK // (len(images) * atoms**2))
    found = [_edges(part, images, lattice, cutoff, most) for part in reduced.split(size)]
    firsts = torch.arange(0, structures, size, device=reduced.device).tolist()
    source, target = (
        torch.cat([atoms * first + edges[k] for first, edges in zip(firsts, found, strict=True)]) for k in (0, 1)
    )
    difference = torch.cat([edges[2] for edges in found])
    vectors = combined(difference, np.linalg.inv(lattice.transform) @ np.array(values))
    return torch.cat([source, target]), torch.cat([target, source]), torch.cat([vectors, -vectors])


def _edges(
    reduced: Tensor, images: Tensor, lattice: Lattice, cutoff: float, most: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Each edge once: sources, targets and reduced differences."""
    structures, atoms, _ = reduced.shape
    wrapped = reduced[:, None] - reduced[:, :, None]
    wrapped -= wrapped.round()
    components = zip(wrapped.unbind(-1), images.unbind(-1), strict=True)
    shifted = [one[:, None] + shift[:, None, None] for one, shift in components]
    lengths = squared(cartesian(shifted, lattice))  # (structures, images, atoms, atoms)
    lengths[:, 0].diagonal(dim1=1, dim2=2).fill_(torch.inf)  # the first image is none: an atom and itself
    limit = lengths.new_full((structures, 1, 1, 1), cutoff**2)
    if most is not None and most < len(images) * atoms - 1:
        last = lengths.transpose(1, 2).flatten(2).kthvalue(most, dim=-1).values * (1 + SLACK)
        limit = torch.maximum(last[:, None, None], last[:, None, :, None]).clamp_max(cutoff**2)
    kept = (lengths <= limit) & (lengths < cutoff**2) & _once(images, atoms)
    structure, image, source, target = kept.nonzero(as_tuple=True)
    difference = wrapped[structure, source, target] + images[image]
    return atoms * structure + source, atoms * structure + target, difference


def _once(images: Tensor, atoms: int) -> Tensor:
    """Of each edge and its reverse one: pairs in ascending order, and half of an atom's own images."""
    pairs = torch.ones(atoms, atoms, dtype=torch.bool, device=images.device).triu(1)
    signs = images.sign() @ images.new_tensor([9.0, 3.0, 1.0])  # that of the first component that is not 0
    own = torch.eye(atoms, dtype=torch.bool, device=images.device)
    return pairs | (own & (signs > 0)[:, None, None])
