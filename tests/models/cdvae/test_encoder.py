"""The encoder against the blocks of torch_geometric, and what does not change a latent vector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cryingan.models.cdvae.encoder import Encoder
from tests.support.autoencoders import CELL, SPECIES, moved_structures, structures

REFERENCE = Path(__file__).parent / "dimenet.json"


def encoder(cell=CELL, hidden=8, outputs=3):
    """Two blocks, whose weights NumPy draws."""
    network = Encoder(cell, SPECIES, 3, hidden, 2, 4.0, outputs).double()
    random = np.random.default_rng(0)
    for weights in network.parameters():
        drawn = random.normal(size=weights.shape) / np.sqrt(weights.shape[-1])
        weights.data.copy_(torch.from_numpy(drawn))
    return network


def test_blocks_of_torch_geometric():
    """dimenet.json is what version 2.8.1 of torch_geometric gives with these weights.

    By BesselBasisLayer, SphericalBasisLayer, EmbeddingBlock, InteractionPPBlock and OutputPPBlock, with a bias
    in the map of the last to wider features; edges and triplets were found by loops over atoms and images.
    """
    known = json.loads(REFERENCE.read_text())
    found = encoder()(torch.tensor([known["fractional"]], dtype=torch.float64))
    np.testing.assert_allclose(found.detach()[0], known["outputs"], rtol=1e-8)


@pytest.mark.parametrize("moved", moved_structures(), ids=lambda one: one.name)
def test_what_does_not_change_a_latent_vector(moved):
    torch.testing.assert_close(encoder(moved.cell)(moved.fractional), encoder()(structures()), rtol=0, atol=1e-9)
    other = encoder()(structures()[:, [4, 1, 2, 3, 0]])  # atoms of two species
    assert not torch.allclose(other, encoder()(structures()))


def test_a_neighbour_that_leaves_changes_nothing_at_once():
    network = encoder(8 * torch.eye(3, dtype=torch.float64))
    fractional = torch.tensor([[[0.0] * 3, [0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.3], [0.5] * 3]], dtype=torch.float64)
    inside, outside = fractional.clone(), fractional.clone()
    inside[0, 1, 0], outside[0, 1, 0] = 0.5 - 1e-4, 0.5 + 1e-4
    near, far = network(inside), network(outside)
    torch.testing.assert_close(near, far, rtol=0, atol=1e-5)
    assert not torch.allclose(network(fractional), far, atol=1e-3)


def test_a_new_encoder_knows_nothing():
    network = Encoder(CELL, SPECIES, 3, 8, 2, 4.0, 3).double()
    assert not network(structures()).any()
