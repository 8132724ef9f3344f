"""The crystal graph network of Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), as a discriminator.

It has no batch normalisation, which the published network has: the gradient penalty is a condition on each structure's
own gradient, and with statistics of the batch a score depends on the other structures (Gulrajani et al., NeurIPS 2017,
section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, one_hot, sigmoid, softplus

from cryingan.geometry.distances import neighbor_vectors

COINCIDENT = 1e-6
"""Angstrom. Atoms nearer than this have no direction, and in float32 second derivatives of their distance overflow."""


class CrystalGraph(nn.Module):
    """Scores structures by graphs of their nearest periodic neighbours.

    A score depends on species and distances alone: it does not change where the structure moves or turns, or where
    atoms of a species change places.

    Args:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        counts: atoms of each species, in the order of the contiguous blocks along the atom axis.
        n_neighbors: neighbours of an atom in the graph, over all periodic images.
        features: numbers per atom.
        convolutions: rounds of gated convolutions.
        gaussians: functions that a distance is expanded in.
        radius: centre of the last of them, Angstrom.
        head: features in the layers after the pooling.
        outputs: outputs; the score of a structure is their mean.
    """

    def __init__(
        self,
        cell: Tensor,
        counts: Sequence[int],
        n_neighbors: int,
        features: int,
        convolutions: int,
        gaussians: int,
        radius: float,
        head: Sequence[int],
        outputs: int,
    ) -> None:
        super().__init__()
        self.cell = cell.double()  # no buffer: distances need it exact and on the CPU
        self.n_neighbors, self.gaussians, self.radius = n_neighbors, gaussians, radius
        rows = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        self.register_buffer("species", one_hot(rows, len(counts)).float(), persistent=False)
        self.embedding = nn.Linear(len(counts), features)
        self.convolutions = nn.ModuleList(GatedConvolution(features, gaussians) for _ in range(convolutions))
        layers = [part for sizes in pairwise([features, *head]) for part in (nn.Linear(*sizes), nn.Softplus())]
        self.per_structure = nn.Sequential(nn.Softplus(), *layers, nn.Linear(head[-1], outputs))

    def forward(self, fractional: Tensor) -> Tensor:
        """Fractional coordinates (structures, atoms, 3) -> outputs (structures, outputs); differentiable twice."""
        vectors, neighbors = neighbor_vectors(fractional, self.cell, self.n_neighbors)
        bonds = expanded(lengths(vectors), self.gaussians, self.radius)
        atoms = self.embedding(self.species).expand(len(fractional), -1, -1)
        for convolution in self.convolutions:
            atoms = convolution(atoms, neighbors, bonds)
        return self.per_structure(atoms.mean(dim=1))


class GatedConvolution(nn.Module):
    """Adds to atom v_i what its neighbours send: sum_j sigmoid(z W_f + b_f) softplus(z W_s + b_s).

    Equation 5 of the paper, with z = (v_i, v_j, u_ij). One layer holds both linear maps; its parts are applied before
    atoms meet at a bond.
    """

    def __init__(self, features: int, gaussians: int) -> None:
        super().__init__()
        self.sizes = [features, features, gaussians]
        self.gate_and_core = nn.Linear(sum(self.sizes), 2 * features)

    def forward(self, atoms: Tensor, neighbors: Tensor, bonds: Tensor) -> Tensor:
        """Features (structures, atoms, features) -> the same, after one more round.

        Args:
            atoms: features of the atoms.
            neighbors: of each atom, counted over all structures, shape (structures, atoms, k).
            bonds: expanded distances to them, shape (structures, atoms, k, gaussians).
        """
        own, other, bond = self.gate_and_core.weight.split(self.sizes, dim=1)
        sent = linear(atoms, other).flatten(0, 1).index_select(0, neighbors.flatten())
        z = linear(atoms, own, self.gate_and_core.bias)[:, :, None] + sent.view(*neighbors.shape, -1)
        gate, core = (z + linear(bonds, bond)).chunk(2, dim=-1)
        return atoms + (sigmoid(gate) * softplus(core)).sum(dim=2)


def lengths(vectors: Tensor) -> Tensor:
    """Lengths of vectors (..., 3), with first and second derivatives of zero where atoms coincide."""
    squared = vectors.square().sum(dim=-1)
    coincide = squared < COINCIDENT**2
    return squared.masked_fill(coincide, 1.0).sqrt().masked_fill(coincide, 0.0)


def expanded(distances: Tensor, gaussians: int, radius: float) -> Tensor:
    """Gaussians exp(-((d - center) / step)^2) of distances (...), with centres from 0 to `radius`: (..., gaussians)."""
    numbers = torch.arange(gaussians, device=distances.device)
    return torch.exp(-(distances[..., None] * ((gaussians - 1) / radius) - numbers).square())
