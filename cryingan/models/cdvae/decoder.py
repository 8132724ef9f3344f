"""The decoder of CDVAE, GemNet-T with direct forces: displacements of atoms from the edges around them.

GemNet (Gasteiger et al., NeurIPS 2021, arXiv:2106.08903), as configured for CDVAE (Xie et al., ICLR 2022,
arXiv:2110.06197), without the branch for an energy, which nothing trains.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cryingan.models.cdvae.bases import Gaussians
from cryingan.models.cdvae.decoder_blocks import Block, Output, Radial
from cryingan.models.cdvae.graph import Graph
from cryingan.models.cdvae.layers import Dense, Scale, orthogonal_
from cryingan.models.diffcsp.network import waves_of_time

LEVEL_WAVES = 32

PUBLISHED = {
    "edges": (18.874, 16.108, 15.019),
    "triplets": (7.997, 7.615, 7.025),
    "atoms": (1.2205, 0.9691, 0.8903),
    "outputs": (16.161, 13.547, 12.754, 13.485),
}
"""Scale factors of the published decoder, fitted to another data set, by block."""


class Decoder(nn.Module):
    """Three numbers per atom, Cartesian; they turn with a structure and do not change where it is translated.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        species: row of the embedding of each atom, shape (atoms,).
        rows: rows of the embedding.
        latent: numbers of the latent vector.
        hidden: width of the features of atoms and edges.
        triplets: width of what passes between two edges at an atom.
        basis: numbers that distances and angles become.
        gaussians: functions that a distance is expanded in.
        blocks: interaction blocks.
        radius: atoms within it are neighbours, Angstrom.
        neighbors: nearest neighbours of an atom.
        published: take the published scale factors, of three blocks.
        sees_level: whether `forward` gets levels.
    """

    def __init__(
        self,
        cell: Tensor,
        species: Tensor,
        rows: int,
        latent: int,
        hidden: int,
        triplets: int,
        basis: int,
        gaussians: int,
        blocks: int,
        radius: float,
        neighbors: int,
        published: bool = False,
        sees_level: bool = False,
    ) -> None:
        super().__init__()
        self.cell = cell.double()  # no buffer: edges need it exact and on the CPU
        self.radius, self.neighbors, self.sees_level = radius, neighbors, sees_level
        self.register_buffer("species", species, persistent=False)
        self.gaussians = Gaussians(gaussians, radius)
        self.embedding = nn.Embedding(rows, hidden)
        nn.init.uniform_(self.embedding.weight, -math.sqrt(3), math.sqrt(3))
        self.merge = nn.Linear(hidden + latent + sees_level * LEVEL_WAVES, hidden)
        orthogonal_(self.merge.weight)
        nn.init.zeros_(self.merge.bias)
        self.message = Dense(2 * hidden + gaussians, hidden)
        self.radial = Radial(gaussians, basis)
        factors = {name: values if published else (1.0,) * (blocks + 1) for name, values in PUBLISHED.items()}
        self.outputs = nn.ModuleList(Output(hidden, basis, factors["outputs"][k]) for k in range(blocks + 1))
        self.blocks = nn.ModuleList(
            Block(hidden, triplets, basis, *(factors[name][k] for name in ("edges", "triplets", "atoms")))
            for k in range(blocks)
        )

    def forward(self, fractional: Tensor, latent: Tensor, levels: Tensor | None = None) -> Tensor:
        """Predict.

        Args:
            fractional: shape (structures, atoms, 3); need not be wrapped.
            latent: shape (structures, latent).
            levels: of the noise, from 0 to 1000, shape (structures,), where the decoder sees them.

        Returns:
            Shape (structures, atoms, 3).
        """
        graph = Graph(fractional, self.cell, self.radius, self.neighbors)
        gaussians = self.gaussians(graph.lengths)
        radial = self.radial(gaussians)
        atoms = self._atoms(latent, levels)
        ends = graph.of_targets(atoms)
        messages = self.message(torch.cat([graph.reversed(ends), ends, gaussians], dim=-1))
        sizes = self.outputs[0](messages, radial.output)
        for block, output in zip(self.blocks, self.outputs[1:], strict=True):
            atoms, messages = block(atoms, messages, radial, graph)
            sizes = sizes + output(messages, radial.output)
        return graph.at_atoms(sizes * graph.directions).view_as(fractional)

    def _atoms(self, latent: Tensor, levels: Tensor | None) -> Tensor:
        """Features of all atoms before they see each other, (atoms of all structures, hidden)."""
        known = [latent]
        if self.sees_level:
            known.append(waves_of_time(levels, LEVEL_WAVES).to(latent.dtype))
        species = self.embedding(self.species).expand(len(latent), -1, -1)
        of_structure = torch.cat(known, dim=-1)[:, None].expand(-1, len(self.species), -1)
        return self.merge(torch.cat([species, of_structure], dim=-1)).flatten(0, 1)

    def fit_scales(self, fractional: Tensor, latent: Tensor, levels: Tensor | None = None) -> None:
        """Fit all scale factors to structures, one after the other as they come; arguments as in `forward`."""
        scales = [module for module in self.modules() if isinstance(module, Scale)]
        for scale in scales:
            scale.fitting = True
        with torch.no_grad():
            self(fractional, latent, levels)
        for scale in scales:
            scale.fitting = False
