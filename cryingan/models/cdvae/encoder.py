"""The encoder of CDVAE, DimeNet++ (Gasteiger et al., 2020, arXiv:2011.14115): a latent vector of a structure.

Messages go along edges, and each learns from those that end where it begins, by distance and angle. The sum over these
is a matrix product for every atom, as the angular functions times the radial ones are a sum over orders.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from cryingan.models.cdvae.bases import ORDERS, RADIAL, Bessel, spherical_bessel
from cryingan.models.cdvae.graph import Graph
from cryingan.models.cdvae.layers import linear, orthogonal_

BASIS = 8


class Encoder(nn.Module):
    """Invariant under translations, turns, mirrors and permutations of atoms of a species.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        species: row of the embedding of each atom, shape (atoms,).
        rows: rows of the embedding.
        hidden: width of the messages, even.
        blocks: interaction blocks.
        radius: atoms within it are neighbours, Angstrom. What is farther has no influence, which ends smoothly there.
        outputs: numbers of a structure.
    """

    def __init__(
        self, cell: Tensor, species: Tensor, rows: int, hidden: int, blocks: int, radius: float, outputs: int
    ) -> None:
        super().__init__()
        self.cell = cell.double()  # no buffer: edges need it exact and on the CPU
        self.radius = radius
        self.register_buffer("species", species, persistent=False)
        self.waves = Bessel(radius)
        self.embedding = Embedding(rows, hidden)
        self.blocks = nn.ModuleList(Interaction(hidden) for _ in range(blocks))
        self.outputs = nn.ModuleList(Output(hidden, outputs) for _ in range(blocks + 1))

    def forward(self, fractional: Tensor) -> Tensor:
        """Fractional coordinates (structures, atoms, 3) to numbers (structures, outputs)."""
        graph = Graph(fractional, self.cell, self.radius)
        waves, radial = self.waves(graph.lengths), spherical_bessel(graph.lengths, self.radius)
        messages = self.embedding(self.species.repeat(len(fractional)), waves, graph)
        found = self.outputs[0](messages, waves, graph)
        for block, output in zip(self.blocks, self.outputs[1:], strict=True):
            messages = block(messages, waves, radial, graph)
            found = found + output(messages, waves, graph)
        return found.view(*fractional.shape[:2], -1).mean(dim=1)


class Embedding(nn.Module):
    """The first messages, of the species at both ends of an edge and of its length."""

    def __init__(self, rows: int, hidden: int) -> None:
        super().__init__()
        self.species = nn.Embedding(rows, hidden)
        self.waves = with_bias(RADIAL, hidden)
        self.message = with_bias(3 * hidden, hidden)

    def forward(self, species: Tensor, waves: Tensor, graph: Graph) -> Tensor:
        """Rows of the species of all atoms (atoms,) and waves (edges, 6) to messages (edges, hidden)."""
        atoms = graph.of_targets(self.species(species))
        parts = [atoms, graph.reversed(atoms), silu(self.waves(waves))]
        return silu(self.message(torch.cat(parts, dim=-1)))


class Interaction(nn.Module):
    """Messages learn from those that end where they begin, except from their own reverses."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        narrow = hidden // 2
        self.waves = nn.Sequential(linear(RADIAL, BASIS), linear(BASIS, hidden))
        self.spherical = nn.Sequential(linear(ORDERS * RADIAL, BASIS), linear(BASIS, narrow))
        self.own, self.others = with_bias(hidden, hidden), with_bias(hidden, hidden)
        self.down, self.up = linear(hidden, narrow), linear(narrow, hidden)
        self.before = WithSkip(hidden)
        self.skip = with_bias(hidden, hidden)
        self.after = nn.Sequential(WithSkip(hidden), WithSkip(hidden))

    def forward(self, messages: Tensor, waves: Tensor, radial: Tensor, graph: Graph) -> Tensor:
        """Messages (edges, hidden) to the same; `radial` as `cryingan.models.cdvae.bases.spherical_bessel` gives it."""
        others = silu(self.down(silu(self.others(messages)) * self.waves(waves)))
        sums = self.before(silu(self.own(messages)) + silu(self.up(self.summed(others, radial, graph))))
        return self.after(silu(self.skip(sums)) + messages)

    def summed(self, others: Tensor, radial: Tensor, graph: Graph) -> Tensor:
        """For each edge j -> i the sum over k -> j of `others` times the functions of their distance and the angle.

        The angle is that between the directions of k -> j and j -> i.
        """
        first, second = (layer.weight for layer in self.spherical)
        weights = (second @ first).view(-1, ORDERS, RADIAL)
        signs = radial.new_tensor([(-1.0) ** order for order in range(ORDERS)])  # of the way back from j
        factors = torch.einsum("elk,flk,l->elf", radial, weights, signs)
        parts = graph.in_slots((factors * others[:, None]).flatten(1))
        parts = parts.view(graph.atoms, graph.width, ORDERS, -1).transpose(1, 2).flatten(1, 2)
        return graph.reversed(graph.on_edges(graph.angular.flatten(2) @ parts))


class Output(nn.Module):
    """Numbers of an atom, from the messages that end there."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * hidden
        self.waves = linear(RADIAL, hidden)
        layers = [part for _ in range(3) for part in (with_bias(wide, wide), nn.SiLU())]
        self.layers = nn.Sequential(with_bias(hidden, wide), *layers, nn.Linear(wide, outputs, bias=False))
        nn.init.zeros_(self.layers[-1].weight)

    def forward(self, messages: Tensor, waves: Tensor, graph: Graph) -> Tensor:
        """Messages (edges, hidden) to numbers (atoms, outputs)."""
        return self.layers(graph.at_atoms(self.waves(waves) * messages))


class WithSkip(nn.Module):
    """Adds what two layers make of their input to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = with_bias(width, width), with_bias(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Values (..., width) to the same."""
        return x + silu(self.second(silu(self.first(x))))


def with_bias(inputs: int, outputs: int) -> nn.Linear:
    """A linear map whose bias begins at 0."""
    layer = nn.Linear(inputs, outputs)
    orthogonal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
