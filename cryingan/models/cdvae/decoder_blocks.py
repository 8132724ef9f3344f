"""Parts of the decoder: what edges learn of those that end at the same atom, and what atoms learn of their edges."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cryingan.models.cdvae.bases import ORDERS
from cryingan.models.cdvae.graph import Graph
from cryingan.models.cdvae.layers import Dense, Residual, Scale, linear, merged, orthogonal_


class RadialBasis(NamedTuple):
    """What the lengths of edges become."""

    triplet: Tensor
    """For what passes between edges, shape (edges, basis)."""
    atom: Tensor
    """For what atoms learn, likewise."""
    output: Tensor
    """For the output blocks, likewise."""
    angle: Tensor
    """For the angles at the edge's end, shape (edges, basis, 7)."""


class Radial(nn.Module):
    """Projections of Gaussians of the lengths that all blocks share."""

    def __init__(self, gaussians: int, basis: int) -> None:
        super().__init__()
        self.triplet, self.atom, self.output = (linear(gaussians, basis) for _ in range(3))
        self.angle = nn.Parameter(torch.empty(basis * ORDERS, gaussians))
        orthogonal_(self.angle.view(basis, -1))  # all orders feed each number of the basis

    def forward(self, gaussians: Tensor) -> RadialBasis:
        """Gaussians (edges, gaussians) to all projections."""
        angle = nn.functional.linear(gaussians, self.angle).unflatten(1, (-1, ORDERS))
        return RadialBasis(self.triplet(gaussians), self.atom(gaussians), self.output(gaussians), angle)


class Triplets(nn.Module):
    """What passes from the edges that end at an atom to each of them, by length and angle (GemNet-T)."""

    def __init__(self, hidden: int, width: int, basis: int, edges: float, triplets: float) -> None:
        super().__init__()
        self.before, self.down = Dense(hidden, hidden), Dense(hidden, width)
        self.radial = linear(basis, hidden)
        self.bilinear = linear(basis * width, width)
        self.up, self.up_reversed = Dense(width, hidden), Dense(width, hidden)
        self.of_edges, self.of_triplets = Scale(edges), Scale(triplets)

    def forward(self, messages: Tensor, radial: RadialBasis, graph: Graph) -> Tensor:
        """Messages (edges, hidden) to the same.

        For an edge c the sum over the other edges b that end where it ends, and over orders l and radial numbers s, of
        `bilinear` R_ls(c) Y_l0(angle of b and c) m_b.
        """
        sent = self.before(messages)
        sent = self.down(self.of_edges(sent, sent * self.radial(radial.triplet)))
        angular = graph.angular.flatten(1, 2) @ graph.in_slots(sent)
        angular = graph.on_edges(angular.view(graph.atoms, graph.width, -1)).unflatten(1, (ORDERS, -1))
        found = self.of_triplets(sent, self.bilinear((radial.angle @ angular).flatten(1)))
        return merged(self.up(found), graph.reversed(self.up_reversed(found)))


class Block(nn.Module):
    """One round: edges learn of edges, then atoms of edges, then edges of atoms.

    Args:
        hidden: width of the features of atoms and edges.
        triplets: width of what passes between two edges.
        basis: numbers of the radial basis.
        edges_scale: factor of the messages times their radial functions.
        triplets_scale: factor of what comes of the triplets.
        atoms_scale: factor of the sums at atoms.
    """

    def __init__(
        self, hidden: int, triplets: int, basis: int, edges_scale: float, triplets_scale: float, atoms_scale: float
    ) -> None:
        super().__init__()
        self.skip = Dense(hidden, hidden)
        self.triplets = Triplets(hidden, triplets, basis, edges_scale, triplets_scale)
        self.before = Residual(hidden)
        self.after = nn.Sequential(Residual(hidden), Residual(hidden))
        self.radial = linear(basis, hidden)
        self.of_atoms = Scale(atoms_scale)
        self.atom = nn.Sequential(Dense(hidden, hidden), *(Residual(hidden) for _ in range(3)))
        self.edge = nn.Sequential(Dense(3 * hidden, hidden), Residual(hidden))

    def forward(self, atoms: Tensor, messages: Tensor, radial: RadialBasis, graph: Graph) -> tuple[Tensor, Tensor]:
        """Features of atoms (atoms, hidden) and messages (edges, hidden) to the same."""
        learned = merged(self.skip(messages), self.triplets(messages, radial, graph))
        messages = self.after(merged(messages, self.before(learned)))
        sums = graph.at_atoms(messages * self.radial(radial.atom))
        atoms = merged(atoms, self.atom(self.of_atoms(messages, sums)))
        ends = graph.of_targets(atoms)
        return atoms, merged(messages, self.edge(torch.cat([graph.reversed(ends), ends, messages], dim=-1)))


class Output(nn.Module):
    """One number of an edge: its part of what the atoms at its ends are moved by."""

    def __init__(self, hidden: int, basis: int, scale: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(Dense(hidden, hidden), *(Residual(hidden) for _ in range(3)))
        self.radial = linear(basis, hidden)
        self.scale = Scale(scale)
        self.number = linear(hidden, 1)

    def forward(self, messages: Tensor, radial: Tensor) -> Tensor:
        """Messages (edges, hidden) and the radial basis (edges, basis) to numbers (edges, 1)."""
        found = self.layers(messages)
        return self.number(self.scale(found, found * self.radial(radial)))
