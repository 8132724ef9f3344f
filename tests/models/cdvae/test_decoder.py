"""The decoder against sums over edges one by one; how its displacements move with a structure; its scale factors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre
from torch import nn

from cryingan.models.cdvae.decoder import PUBLISHED, Decoder
from cryingan.models.cdvae.decoder_blocks import Radial, Triplets
from cryingan.models.cdvae.graph import Graph
from cryingan.models.cdvae.layers import Scale, activated, orthogonal_
from tests.conftest import random_crystals
from tests.support.autoencoders import CELL, SPECIES, moved_structures, structures

LATENT = torch.randn(2, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def decoder(cell=CELL, neighbors=3, **settings):
    torch.manual_seed(0)
    sizes = {"latent": 3, "hidden": 8, "triplets": 6, "basis": 4, "gaussians": 5, "blocks": 2, **settings}
    return Decoder(cell, SPECIES, 3, radius=5.0, neighbors=neighbors, **sizes).double()


@pytest.mark.parametrize("neighbors", [3, 100])
@pytest.mark.parametrize("moved", moved_structures(), ids=lambda one: one.name)
def test_displacements_move_with_a_structure(moved, neighbors):
    """Turned and mirrored with it, in its new order of atoms, also where neighbours are few."""
    expected = decoder(neighbors=neighbors)(structures(), LATENT) @ moved.turn
    found = decoder(moved.cell, neighbors)(moved.fractional, LATENT)
    torch.testing.assert_close(found, expected[:, moved.order], rtol=0, atol=1e-9)
    assert expected.abs().max() > 1e-3


def test_triplets_one_by_one():
    layer, cell = Triplets(5, 4, 3, edges=2.0, triplets=0.5).double(), CELL
    graph = Graph(structures(), cell, 4.0)
    random = torch.Generator().manual_seed(1)
    count = len(graph.source)
    messages, triplet = (torch.randn(count, width, generator=random, dtype=torch.float64) for width in (5, 3))
    angle = torch.randn(count, 3, 7, generator=random, dtype=torch.float64)
    radial = SimpleNamespace(triplet=triplet, angle=angle)
    sent = layer.before(messages)
    sent = layer.down(2.0 * sent * layer.radial(triplet))
    weight = layer.bilinear.weight.view(4, 3, 4)
    found = torch.zeros(count, 4, dtype=torch.float64)
    for one in range(count):
        for other in range(count):
            if other != one and graph.target[other] == graph.target[one]:
                cosine = float(graph.directions[one] @ graph.directions[other])
                angular = [np.sqrt((2 * n + 1) / (4 * np.pi)) * eval_legendre(n, cosine) for n in range(7)]
                factors = angle[one] @ torch.tensor(angular, dtype=torch.float64)
                found[one] += 0.5 * torch.einsum("osf,s,f->o", weight, factors, sent[other])
    back = [int(k) for k in torch.arange(count).roll(count // 2)]
    expected = (layer.up(found) + layer.up_reversed(found)[back]) / np.sqrt(2)
    torch.testing.assert_close(layer(messages, radial, graph), expected)


def test_slots_hold_the_edges_of_each_atom():
    graph = Graph(structures(), CELL, 4.0)
    numbers = torch.arange(1.0, len(graph.source) + 1)[:, None]
    slots = graph.in_slots(numbers)
    assert graph.on_edges(slots).equal(numbers)
    for atom, row in enumerate(slots[..., 0]):
        assert sorted(row[row > 0].tolist()) == (torch.where(graph.target == atom)[0] + 1.0).tolist()
    expected = torch.stack([numbers[graph.target == atom].sum() for atom in range(graph.atoms)])
    torch.testing.assert_close(graph.at_atoms(numbers)[:, 0], expected)
    assert graph.source.equal(graph.reversed(graph.target))


def test_atoms_that_are_alone_stay():
    network = decoder(40 * torch.eye(3, dtype=torch.float64))
    fractional = torch.tensor([[[0.0] * 3, [0.02, 0, 0], [0.5] * 3, [0.2] * 3, [0.7] * 3]], dtype=torch.float64)
    found = network(fractional, LATENT[:1])
    assert found[0, :2].abs().min(dim=0).values[0] > 0
    assert not found[0, 2:].any()
    assert not network(fractional[:, :1].expand(1, 5, 3) + torch.eye(5, 3)[None] * 0.3, LATENT[:1]).isnan().any()


def test_the_latent_vector_counts_and_the_level_where_it_is_seen():
    fractional, levels = structures(), torch.tensor([0.0, 900.0], dtype=torch.float64)
    assert not torch.allclose(decoder()(fractional, LATENT), decoder()(fractional, -LATENT))
    plain, seeing = decoder(), decoder(sees_level=True)
    assert plain(fractional, LATENT, levels).equal(plain(fractional, LATENT))
    one, other = seeing(fractional, LATENT, levels), seeing(fractional, LATENT, levels.flip(0))
    assert not torch.allclose(one, other)


def test_scale_factors_keep_the_variance():
    network, seen = decoder(), []
    for scale in (module for module in network.modules() if isinstance(module, Scale)):
        scale.register_forward_hook(lambda layer, inputs, output: seen.append((output.std() / inputs[0].std()).item()))
    network(structures(), LATENT)
    assert max(abs(ratio - 1) for ratio in seen) > 0.1
    seen.clear()
    network.fit_scales(structures(), LATENT)
    seen.clear()
    network(structures(), LATENT)
    assert seen == pytest.approx([1] * 9)


def test_published_scale_factors():
    network = decoder(blocks=3, published=True)
    block, values = network.blocks[1], [PUBLISHED[name][1] for name in ("edges", "triplets", "atoms")]
    scales = (block.triplets.of_edges, block.triplets.of_triplets, block.of_atoms)
    assert [scale.factor.item() for scale in scales] == pytest.approx(values)
    assert network.outputs[3].scale.factor.item() == pytest.approx(13.485)


def test_fitted_scale_factors_are_near_the_published_ones():
    """At the paper's sizes, though of another data set: no weight begins on another scale than there."""
    torch.manual_seed(0)
    sizes = {"latent": 256, "hidden": 128, "triplets": 64, "basis": 16, "gaussians": 128, "blocks": 3}
    cell = 9.6 * torch.eye(3)
    network = Decoder(cell, torch.arange(64) % 3, 3, radius=7.0, neighbors=20, **sizes)
    crystals = random_crystals(2, ("Li",) * 64, cell.numpy())
    network.fit_scales(torch.from_numpy(crystals.fractional).float(), torch.randn(2, 256))
    factors = {
        "edges": [block.triplets.of_edges for block in network.blocks],
        "triplets": [block.triplets.of_triplets for block in network.blocks],
        "atoms": [block.of_atoms for block in network.blocks],
        "outputs": [output.scale for output in network.outputs],
    }
    for name, layers in factors.items():
        ratios = [layer.factor.item() / value for layer, value in zip(layers, PUBLISHED[name], strict=True)]
        assert all(0.75 < ratio < 1.3 if name == "triplets" else 0.45 < ratio < 2 for ratio in ratios), (name, ratios)


def test_all_orders_feed_a_number_of_the_angular_basis():
    weight = Radial(gaussians=128, basis=16).angle
    assert weight.var().item() == pytest.approx(1 / (7 * 128), rel=0.01)


def test_initial_weights():
    weight = orthogonal_(torch.empty(6, 40))
    assert weight.mean(dim=1).abs().max() < 1e-6
    assert weight.square().mean(dim=1).tolist() == pytest.approx([1 / 40] * 6, rel=1e-4)
    normal = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    assert activated(normal).square().mean().item() == pytest.approx(1, abs=0.03)
    assert all(isinstance(layer, nn.Linear) is False or layer.bias is None for layer in decoder().blocks.modules())
