"""Neighbours of every atom, and the edges that meet at an atom."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from cryingan.geometry.edges import edges_within
from cryingan.models.cdvae.bases import legendre

COINCIDENT = 1e-6
"""Angstrom. Atoms nearer than this have no direction."""


class Graph:
    """The edges within a radius of structures, each with its reverse, and the slots of the edges that end at an atom.

    What belongs to edges has the shape (edges, ...), the reverses of the first half in the second half; in slots it has
    the shape (atoms of all structures, slots, ...), the edges that end at an atom in its row and zeros behind them.

    Args:
        fractional: shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        radius: Angstrom.
        most: nearest neighbours of an atom, as in `cryingan.geometry.edges.edges_within`; None for all.

    Attributes:
        source: the atom that an edge comes from, shape (edges,), counted over all structures.
        target: the atom where it ends, likewise.
        lengths: Angstrom, shape (edges,).
        directions: unit vectors from source to target, shape (edges, 3).
    """

    def __init__(self, fractional: Tensor, cell: Tensor, radius: float, most: int | None = None) -> None:
        self.atoms = fractional.shape[0] * fractional.shape[1]
        self.source, self.target, vectors = edges_within(fractional, cell, radius, most)
        self.lengths = torch.linalg.vector_norm(vectors, dim=-1)
        self.directions = vectors / self.lengths.clamp_min(COINCIDENT)[:, None]
        counts = torch.bincount(self.target, minlength=self.atoms)
        order = self.target.argsort(stable=True)
        firsts = (counts.cumsum(0) - counts).index_select(0, self.target.index_select(0, order))
        self.width = max(1, int(counts.max()))
        self.slot = torch.empty_like(order)
        self.slot[order] = torch.arange(len(order), device=order.device) - firsts
        self.slot += self.width * self.target

    def in_slots(self, values: Tensor) -> Tensor:
        """Values of edges (edges, width) in slots (atoms, slots, width)."""
        slots = values.new_zeros(self.atoms * self.width, values.shape[1])
        return slots.index_copy(0, self.slot, values).view(self.atoms, self.width, values.shape[1])

    def on_edges(self, slots: Tensor) -> Tensor:
        """Values in slots (atoms, slots, width) as those of edges (edges, width)."""
        return slots.flatten(0, 1).index_select(0, self.slot)

    def at_atoms(self, values: Tensor) -> Tensor:
        """Sums over the edges that end at an atom, (edges, width) to (atoms, width)."""
        return self.in_slots(values).sum(dim=1)

    def of_targets(self, values: Tensor) -> Tensor:
        """Values of atoms (atoms, width) on the edges that end at them (edges, width)."""
        # Through slots, so that a GPU adds the gradients in one order.
        return self.on_edges(values[:, None].expand(-1, self.width, -1))

    def reversed(self, values: Tensor) -> Tensor:
        """Values of edges at their reverses."""
        first, second = values.chunk(2)
        return torch.cat([second, first])

    @cached_property
    def angular(self) -> Tensor:
        """Y_l0 of the angles between two edges that end at an atom; 0 of an edge and itself.

        Shape (atoms, slots, 7, slots), by atom, one edge, order and the other edge.
        """
        directions = self.in_slots(self.directions)
        # A matrix product of float32 in full precision, whatever the settings of the device.
        cosines = sum(x[:, :, None] * x[:, None] for x in directions.unbind(-1))
        cosines = cosines.clamp(-1, 1)
        others = 1 - torch.eye(self.width, dtype=cosines.dtype, device=cosines.device)
        return torch.stack(legendre(cosines), dim=2) * others[:, None]
