"""The whole decoder against GemNet-T with direct forces, written edge by edge from its definition."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.special import eval_legendre

from cryingan.models.cdvae.decoder import Decoder
from cryingan.models.cdvae.layers import Scale
from tests.support.autoencoders import CELL, SPECIES, structures

RADIUS, LATENT = 4.5, 3


def silu(x):
    return x / (1 + np.exp(-x)) / 0.6


def weights(layer):
    return layer.weight.detach().numpy()


def dense(layer, x):
    return silu(x @ weights(layer.map).T)


def residual(layer, x):
    return (x + dense(layer.layers[1], dense(layer.layers[0], x))) / np.sqrt(2)


def through(layers, x):
    """A dense layer, then residual ones."""
    x = dense(layers[0], x)
    for layer in layers[1:]:
        x = residual(layer, x)
    return x


class Reference:
    """Edges of one structure by ASE, and what a decoder makes of them."""

    def __init__(self, network, fractional):
        self.network, self.atoms = network, len(fractional)
        atoms = Atoms("H" * self.atoms, cell=CELL.numpy(), scaled_positions=fractional.numpy(), pbc=True)
        self.source, self.target, vectors = neighbor_list("ijD", atoms, RADIUS)
        lengths = np.linalg.norm(vectors, axis=1)
        self.unit, count = vectors / lengths[:, None], len(lengths)
        known = list(zip(self.source, self.target, vectors.round(6) + 0.0, strict=True))
        rows = {(i, j, *vector): number for number, (i, j, vector) in enumerate(known)}
        self.reverse = [rows[(j, i, *(0.0 - vector))] for i, j, vector in known]
        d, gaussians = (lengths / RADIUS)[:, None], network.radial.triplet.in_features
        self.gaussians = np.exp(-((d - np.linspace(0, 1, gaussians)) ** 2) * (gaussians - 1) ** 2 / 2)
        self.gaussians *= 1 - 21 * d**5 + 35 * d**6 - 15 * d**7
        cosines = (self.unit @ self.unit.T).clip(-1, 1)
        meet = (self.target[:, None] == self.target) & ~np.eye(count, dtype=bool)
        harmonics = [np.sqrt((2 * n + 1) / (4 * np.pi)) * eval_legendre(n, cosines) for n in range(7)]
        self.angular = np.stack(harmonics, axis=-1) * meet[..., None]

    def at_atoms(self, values):
        found = np.zeros((self.atoms, values.shape[1]))
        for edge, atom in enumerate(self.target):
            found[atom] += values[edge]
        return found

    def triplets(self, layer, messages):
        """From every edge b to each edge c that ends where it does, by a weight (out, radial, in)."""
        radial = self.network.radial
        sent = dense(layer.before, messages) * (self.gaussians @ weights(radial.triplet).T @ weights(layer.radial).T)
        sent = dense(layer.down, sent * float(layer.of_edges.factor))
        factors = (self.gaussians @ radial.angle.detach().numpy().T).reshape(len(sent), -1, 7)
        weight = weights(layer.bilinear).reshape(sent.shape[1], factors.shape[1], sent.shape[1])
        found = np.einsum("osf,csl,cbl,bf->co", weight, factors, self.angular, sent) * float(layer.of_triplets.factor)
        return (dense(layer.up, found) + dense(layer.up_reversed, found)[self.reverse]) / np.sqrt(2)

    def block(self, block, atoms, messages):
        learned = (dense(block.skip, messages) + self.triplets(block.triplets, messages)) / np.sqrt(2)
        messages = (messages + residual(block.before, learned)) / np.sqrt(2)
        for layer in block.after:
            messages = residual(layer, messages)
        radial = self.gaussians @ weights(self.network.radial.atom).T @ weights(block.radial).T
        sums = self.at_atoms(messages * radial) * float(block.of_atoms.factor)
        atoms = (atoms + through(block.atom, sums)) / np.sqrt(2)
        ends = np.concatenate([atoms[self.source], atoms[self.target], messages], axis=1)
        return atoms, (messages + through(block.edge, ends)) / np.sqrt(2)

    def output(self, output, messages):
        radial = self.gaussians @ weights(self.network.radial.output).T @ weights(output.radial).T
        found = through(output.layers, messages) * radial * float(output.scale.factor)
        return found @ weights(output.number).T

    def displacements(self, latent):
        network = self.network
        species = weights(network.embedding)[SPECIES.numpy()]
        atoms = np.concatenate([species, np.tile(latent, (self.atoms, 1))], axis=1)
        atoms = atoms @ weights(network.merge).T + network.merge.bias.detach().numpy()
        messages = dense(
            network.message, np.concatenate([atoms[self.source], atoms[self.target], self.gaussians], axis=1)
        )
        sizes = self.output(network.outputs[0], messages)
        for block, output in zip(network.blocks, network.outputs[1:], strict=True):
            atoms, messages = self.block(block, atoms, messages)
            sizes = sizes + self.output(output, messages)
        return self.at_atoms(sizes * self.unit)


@pytest.mark.parametrize("blocks", [1, 2])
def test_displacements_edge_by_edge(blocks):
    torch.manual_seed(0)
    sizes = {"latent": LATENT, "hidden": 8, "triplets": 6, "basis": 4, "gaussians": 5, "blocks": blocks}
    network = Decoder(CELL, SPECIES, 3, radius=RADIUS, neighbors=1000, **sizes).double()
    for number, scale in enumerate(module for module in network.modules() if isinstance(module, Scale)):
        scale.factor.fill_(1 + 0.1 * number)
    torch.nn.init.normal_(network.merge.bias)
    latent = torch.randn(2, LATENT, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = network(structures(), latent).detach().numpy()
    for one, fractional, own in zip(found, structures(), latent.numpy(), strict=True):
        expected = Reference(network, fractional).displacements(own)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(one, expected, rtol=1e-9, atol=1e-12)
