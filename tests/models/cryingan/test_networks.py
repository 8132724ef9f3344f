from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.reference_cycle import Layout, ReferenceDiscriminator, ReferenceGenerator
from cryingan.models.cryingan.networks import Discriminator, Generator, Pooling, initialize, pool

FLOAT64 = 1e-12
COUNTS = (3, 1, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small_generator() -> Generator:
    """Weights and BatchNorm statistics unlike the initial ones, float64."""
    network = Generator(8, latent_dim=7, channels=6, widths=(5, 9, 4)).double()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.2, 1.0, generator=seeded(value.numel()))
    return network


@pytest.mark.parametrize(
    ("atoms", "species", "expected"),
    [
        (264, 5, (2_560_257, 1_879_242, 1_880_778)),
        (256, 1, (2_493_697, 855_242, 856_778)),
        (256, 3, (2_493_697, 1_367_242, 1_368_778)),
        (8, 2, (430_337, 1_111_242, 1_112_778)),
    ],
)
def test_parameter_counts_of_the_paper(atoms: int, species: int, expected: tuple[int, int, int]) -> None:
    counts = [atoms - species + 1] + [1] * (species - 1)
    assert (size(Generator(atoms)), size(Discriminator(3, counts)), size(Discriminator(6, counts))) == expected
    mixed = Discriminator(6, counts, "mix")
    assert size(mixed) == expected[2] + 256 * species * 1000


@pytest.mark.parametrize("training", [True, False])
def test_generator_equals_the_convolutions(training: bool) -> None:
    ours, reference = small_generator(), ReferenceGenerator(8, 7, 6, (5, 9, 4)).double()
    layout = Layout(6, 1)
    reference.load_state_dict(layout.to_reference(ours.state_dict()))
    ours.train(training)
    reference.train(training)
    noise = torch.randn(5, 7, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(ours(noise), reference(noise), rtol=0, atol=FLOAT64)
    for name, value in layout.to_library(reference.state_dict()).items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_discriminator_equals_the_convolutions(pooling: Pooling) -> None:
    ours = Discriminator(6, COUNTS, pooling, widths=(9, 8, 7), head=(11, 5), outputs=4).double()
    reference = ReferenceDiscriminator(6, list(COUNTS), pooling.value, (9, 8, 7), (11, 5), 4).double()
    reference.load_state_dict(Layout(1, 3).to_reference(ours.state_dict()))
    x = torch.randn(5, 8, 6, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(ours(x), reference(x), rtol=0, atol=FLOAT64)


def test_generator_fills_the_cell() -> None:
    network = Generator(5)
    initialize(network, seeded())
    made = network(torch.randn(3, 64, generator=seeded()))
    assert made.shape == (3, 5, 3)
    assert made.dtype == torch.float32
    assert 0 < made.min() < made.max() < 1


def test_batch_norm_divides_by_the_root_of_variance_plus_eps() -> None:
    """One channel that passes untouched: what comes out of BatchNorm is (x - mean) / sqrt(variance + 0.8)."""
    network = small_generator()
    norm = network.layers[1]
    x = torch.randn(40, 5, dtype=torch.float64, generator=seeded()) * 3
    plain = (x - x.mean(0)) / (x.var(0, unbiased=False) + 0.8).sqrt()
    torch.testing.assert_close(norm(x), plain * norm.weight + norm.bias, rtol=0, atol=FLOAT64)
    assert all(layer.eps == 0.8 for layer in network.modules() if isinstance(layer, nn.BatchNorm1d))
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in network.modules()) == 3


@pytest.mark.parametrize("pooling", list(Pooling))
def test_only_atoms_of_one_species_are_interchangeable(pooling: Pooling) -> None:
    network = Discriminator(3, COUNTS, pooling).double()
    x = torch.rand(4, 8, 3, dtype=torch.float64, generator=seeded())
    outputs = network(x)
    assert outputs.shape == (4, 10)
    torch.testing.assert_close(network(x[:, [2, 0, 1, 3, 7, 5, 4, 6]]), outputs, rtol=0, atol=FLOAT64)
    assert (network(x[:, [0, 1, 3, 2, 4, 5, 6, 7]]) - outputs).abs().max() > 1e-6


def test_pooling_against_hand_values() -> None:
    x = torch.tensor([[[1.0, 10], [3, -10], [5, 0], [2, 8], [4, 6]]])  # species of 3 and 2 atoms, 2 channels
    average, maximum = [[3.0, 0], [3, 7]], [[5.0, 10], [4, 8]]
    expected = {
        "avg": [*average[0], *average[1]],
        "max": [*maximum[0], *maximum[1]],
        "mix": [*maximum[0], *average[0], *maximum[1], *average[1]],
    }
    for pooling, values in expected.items():
        assert pool(x, (3, 2), Pooling(pooling)).tolist() == [values]


@pytest.mark.parametrize("name", ["min", "AVG", "", None])
def test_unknown_pooling_is_refused(name: str | None) -> None:
    with pytest.raises(ValueError, match="Pooling"):
        Discriminator(3, COUNTS, name)


@pytest.mark.parametrize("network", [Generator(6), Discriminator(3, (4, 2)), Discriminator(6, (4, 2), "mix")])
def test_initial_weights_fill_the_bounds_of_the_convolutions(network: nn.Module) -> None:
    initialize(network, seeded())
    reference = Layout(128, 2).to_reference({name: p.detach() for name, p in network.named_parameters()})
    for name, value in reference.items():
        if value.dim() < 2:
            assert torch.all(value == (1 if name.endswith("1.weight") and name.startswith("map") else 0))
            continue
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(value)
        bound = np.sqrt(6 / (fan_in + fan_out))
        assert value.abs().max() <= bound
        if value.numel() > 1000:
            assert value.abs().max() > 0.99 * bound
            assert value.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


def test_initial_weights_follow_the_given_generator_alone() -> None:
    first, second, other = (Generator(6) for _ in range(3))
    before = torch.get_rng_state()
    initialize(first, seeded(1))
    initialize(second, seeded(1))
    initialize(other, seeded(2))
    assert torch.equal(torch.get_rng_state(), before)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.latent.weight, other.latent.weight)


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
def test_a_discriminator_that_knows_sites_is_one_that_sees_their_numbers(pooling):
    """Its biases are the weights of a plain one for features that are 1 at one site and 0 elsewhere."""
    torch.manual_seed(0)
    shape = {"counts": (2, 3), "pooling": pooling, "widths": (9, 8), "head": (7,), "outputs": 3}
    plain, knowing = Discriminator(4 + 5, **shape).double(), Discriminator(4, **shape, sites=True).double()
    state = plain.state_dict()
    weight, bias = state["per_atom.0.weight"], state["per_atom.0.bias"]
    knowing.load_state_dict({**state, "per_atom.0.weight": weight[:, :4], "per_atom.0.bias": bias + weight[:, 4:].T})
    x = torch.randn(6, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(knowing(x), plain(torch.cat([x, torch.eye(5).double().expand(6, 5, 5)], dim=-1)))
    assert not knowing(x).allclose(knowing(x[:, [1, 0, 2, 3, 4]]))
