"""The network against its plain form on concatenated pairs, its symmetries and its numbers of parameters."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import silu

from cryingan.geometry.distances import pair_distances
from cryingan.models.diffcsp.network import PairNetwork, waves_of_time
from cryingan.models.diffcsp.pair_features import TabulatedWaves, WeightedRows, waves

CELL = torch.tensor([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.0, 0.5, 7.0]], dtype=torch.float64)
SPECIES = torch.tensor([0, 0, 0, 1, 1, 2])
IMAGES = list(itertools.product((-1, 0, 1), repeat=3))
SMALL = {"hidden": 16, "layers": 2, "frequencies": 4}


def network(**settings):
    torch.manual_seed(0)
    return PairNetwork(CELL, SPECIES, 3, **{**SMALL, **settings}).double()


def structures(number=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(number, len(SPECIES), 3, generator=random, dtype=torch.float64)


def by_concatenation(net, fractional, time, cell_term=False):
    """Every pair with all its features in one row, atom after atom, as the paper writes it."""
    results = []
    for structure, moment in zip(fractional, time, strict=True):
        atoms = [net.embedding.weight[s] for s in SPECIES]
        clock = waves_of_time(moment[None], net.hidden)[0]
        h = [net.input(torch.cat([a, clock])) for a in atoms]
        for layer in net.layers:
            normed, updated = [layer.norm(x) for x in h], []
            for i in range(len(h)):
                messages = []
                for j in range(len(h)):
                    parts = [normed[i], normed[j], waves((structure[j] - structure[i]) % 1.0, net.frequencies)]
                    if cell_term:
                        parts.insert(2, (CELL @ CELL.T).flatten())
                    messages.append(silu(layer.message(silu(layer.pair(torch.cat(parts))))))
                updated.append(h[i] + layer.node(torch.cat([normed[i], torch.stack(messages).mean(dim=0)])))
            h = updated
        results.append(torch.stack([net.head(net.norm(x)) for x in h]))
    return torch.stack(results)


@pytest.mark.parametrize("cell_term", [False, True])
def test_the_plain_form(cell_term):
    net, fractional, time = network(cell_term=cell_term), structures(2), torch.tensor([3.0, 700.0], dtype=torch.float64)
    expected = by_concatenation(net, fractional, time, cell_term)
    torch.testing.assert_close(net(fractional, time), expected, rtol=1e-6 if cell_term else 1e-10, atol=1e-9)


def test_permutation_translation_and_periods():
    net, fractional, time = network(), structures(), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    result = net(fractional, time)
    order = [2, 0, 1, 4, 3, 5]
    torch.testing.assert_close(net(fractional[:, order], time), result[:, order], rtol=0, atol=1e-12)
    moved = fractional + torch.tensor([0.3, -1.7, 5.2], dtype=torch.float64)
    torch.testing.assert_close(net(moved, time), result, rtol=0, atol=1e-11)
    assert not torch.allclose(net(fractional[:, [3, 1, 2, 0, 4, 5]], time), result)  # other species


def test_absolute_places_end_the_translation():
    net, time = network(absolute=True), torch.ones(3, dtype=torch.float64)
    assert not torch.allclose(net(structures(), time), net(structures() + 0.1, time))
    torch.testing.assert_close(net(structures(), time), net(structures() + 1.0, time), rtol=0, atol=1e-11)


def test_displacements_from_the_sites_of_atoms():
    """They are Cartesian, of the nearest image along each axis, and each is seen by its own atom."""
    net, fractional, time = network(sites=True), structures(1), torch.tensor([20.0])
    net.sites.copy_(structures(1, seed=1)[0])
    expected = torch.stack(
        [
            min((atom - site + torch.tensor(image, dtype=site.dtype) for image in IMAGES), key=lambda v: v.abs().sum())
            @ CELL
            for atom, site in zip(fractional[0], net.sites, strict=True)
        ]
    )
    seen = []
    hook = net.displacement.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][0]))
    net(fractional, time)
    hook.remove()
    torch.testing.assert_close(seen, [expected])
    plain = network()
    plain.load_state_dict(net.state_dict(), strict=False)
    assert not net(fractional, time).allclose(plain(fractional, time))
    torch.testing.assert_close(net(fractional + 1, time), net(fractional, time))
    net.displacement.weight.data.zero_()
    net.displacement.bias.data.zero_()
    torch.testing.assert_close(net(fractional, time), plain(fractional, time))


def test_nearest_atoms_of_each_atom_and_itself():
    net, fractional = network(neighbors=2), structures()
    senders = net._senders(fractional)
    distances = pair_distances(fractional, CELL)
    distances.diagonal(dim1=1, dim2=2).fill_(0)
    assert (senders[..., 0] == torch.arange(len(SPECIES))).all()
    assert senders.sort(dim=-1).values.equal(distances.argsort(dim=-1)[..., :3].sort(dim=-1).values)


def test_enough_neighbours_are_all():
    time = torch.ones(3, dtype=torch.float64)
    for enough in (5, 6, 100):
        torch.testing.assert_close(network(neighbors=enough)(structures(), time), network()(structures(), time))
    one_less = network(neighbors=4)
    assert not torch.allclose(one_less(structures(), time), network()(structures(), time))


def test_gathered_messages_equal_dense_ones_of_the_same_atoms():
    net, fractional, time = network(), structures(), torch.ones(3, dtype=torch.float64)
    expected = net(fractional, time)
    everyone = torch.arange(len(SPECIES)).expand(3, len(SPECIES), -1)
    net._senders = lambda _: everyone
    torch.testing.assert_close(net(fractional, time), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("grid", "error"), [(256, 2e-2), (4096, 1e-4)])
def test_table_of_pair_features(grid, error):
    fractional, time = structures(), torch.ones(3, dtype=torch.float64)
    direct, table = network(frequencies=16), network(frequencies=16, grid=grid)
    assert (direct(fractional, time) - table(fractional, time)).abs().max() < error
    on_grid = (fractional * 256).round() / 256
    torch.testing.assert_close(direct(on_grid, time), table(on_grid, time), rtol=0, atol=1e-10)


def test_gradients_through_the_table():
    fractional, time = structures(), torch.ones(3, dtype=torch.float64)
    gradients = []
    for grid in (0, 4096):
        net = network(grid=grid)
        net(fractional, time).square().sum().backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_interpolation_is_periodic():
    """A frequency-1 wave on a grid of 4 points is a zigzag of period 1."""
    places = torch.tensor([0.0, 0.125, 0.25, 0.875, 1.25, -0.25])
    difference = torch.stack([places, torch.zeros(6), torch.zeros(6)], dim=1)
    sine_of_the_first_axis = torch.zeros(1, 12)
    sine_of_the_first_axis[0, 1] = 1
    (found,) = TabulatedWaves(difference, frequencies=2, grid=4).products([sine_of_the_first_axis])
    torch.testing.assert_close(found.flatten(), torch.tensor([0, 0.5, 1, -0.5, 1, -1]), rtol=0, atol=1e-6)


def test_products_with_several_weights():
    difference, random = structures(2)[:, :, None] - structures(2)[:, None], torch.Generator().manual_seed(0)
    weights = [torch.randn(width, 30, generator=random, dtype=torch.float64) for width in (3, 7)]
    expected = [waves(difference, 5) @ weight.T for weight in weights]
    for found, values in zip(TabulatedWaves(difference, 5, 8192).products(weights), expected, strict=True):
        torch.testing.assert_close(found, values, rtol=0, atol=3e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weighted_rows_and_their_gradient(dtype):
    """Equal to indexing, with rows that repeat; weights that have gradients get them."""
    random = torch.Generator().manual_seed(0)
    rows, weights = torch.randint(9, (50, 6), generator=random), torch.rand(50, 6, generator=random, dtype=dtype)
    table = torch.randn(9, 4, generator=random, dtype=dtype)
    for differentiable in (False, True):
        results = []
        for compute in (lambda t, w: (t[rows] * w[..., None]).sum(dim=1), lambda t, w: WeightedRows(rows, w, 9).of(t)):
            inputs = [table.clone().requires_grad_(), weights.clone().requires_grad_(differentiable)]
            sums = compute(*inputs)
            sums.square().sum().backward()
            results.append([sums, *(value.grad for value in inputs if value.requires_grad)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4 if dtype == torch.float32 else 1e-12)


def test_time_waves():
    found = waves_of_time(torch.tensor([0.0, 7.0]), 6)
    rates = [math.exp(-math.log(1e4) * k / 2) for k in range(3)]
    assert found[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert found[1].tolist() == pytest.approx([math.sin(7 * r) for r in rates] + [math.cos(7 * r) for r in rates])
