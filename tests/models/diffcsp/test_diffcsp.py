"""DiffCSP: its targets, what it can and cannot learn, its samples."""

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.diffcsp.diffcsp import DiffCSP
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_distances

CELL = (6 * np.eye(3)).tolist()
SPECIES = ["Li", "Cl", "Li", "O"]
SMALL = {"hidden": 32, "layers": 2, "frequencies": 8}


def model(**settings):
    return DiffCSP(CELL, SPECIES, **{**SMALL, **settings})


def trained(net, fractional, steps, rate=3e-3):
    """Train on one structure, or on 64; return the mean loss of the last fifth of the steps."""
    optimizer = torch.optim.Adam(net.network.parameters(), lr=rate)
    source, losses = torch.Generator().manual_seed(0), []
    batch = torch.as_tensor(fractional, dtype=torch.float32).expand(64, -1, -1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        loss = net.loss(batch, torch.rand(64, generator=source), source)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.mean(losses[-steps // 5 :])


def test_samples_come_from_the_network_until_its_average_begins():
    net, other = model(ema=0.9), model(seed=5)
    assert net.sample(2, seed=1, steps=3).same_as(model().sample(2, seed=1, steps=3))
    assert not any(weights.requires_grad for weights in net.averaged.parameters())
    net.averaged.update_parameters(other.network)
    assert net.sample(2, seed=1, steps=3).same_as(other.sample(2, seed=1, steps=3))
    assert not other.sample(2, seed=1, steps=3).same_as(model().sample(2, seed=1, steps=3))


def test_loss_stays_above_what_the_mean_displacement_hides():
    """Differences of places do not tell the mean displacement, 1 / atoms of the variance while noise is small."""
    net = DiffCSP(CELL, ["Li", "Cl"], **SMALL, sigma_max=[0.02])
    loss = trained(net, torch.tensor([[0.1, 0.1, 0.1], [0.4, 0.5, 0.6]]), 400)
    assert 0.47 < loss < 0.6  # one half


def test_one_atom_tells_nothing():
    """A network that sees differences alone has a constant answer for it, and the best is zero."""
    net = DiffCSP(CELL, ["Li"], **SMALL)
    fractional, source = torch.rand(2000, 1, 3), torch.Generator().manual_seed(0)
    seen, times, answers = net.example(fractional, torch.rand(2000, generator=source), source)
    one, other = net.network(seen, times), net.network(torch.zeros_like(seen), times)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert answers.square().mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_one_structure_comes_back_up_to_a_translation():
    net = DiffCSP(CELL, ["Li", "Cl", "O"], **SMALL, sigma_max=[0.4])
    structure = torch.tensor([[0.1, 0.2, 0.3], [0.6, 0.7, 0.1], [0.3, 0.5, 0.8]])
    trained(net, structure, 1500)
    known = Crystals(structure.double().numpy()[None], CELL, ("Li", "Cl", "O"))
    net.anchor.fit(known[[0, 0]].reordered(net.grouping))
    assert np.quantile(matched_distances(net.sample(40, seed=1, batch_size=40, steps=200), known), 0.9) < 0.05


def test_two_bonds_of_equal_weight_come_back():
    """Two atoms on an axis, 0.3 or 0.7 of it apart."""
    net = DiffCSP(CELL, ["Li", "Cl"], **SMALL, sigma_max=[0.3])
    first, bonds = torch.zeros(2, 2, 3), torch.tensor([0.3, 0.7])
    first[:, 1, 0] = bonds
    trained(net, first.repeat(32, 1, 1), 400)
    samples = net.sample(60, seed=0, batch_size=60, steps=100).fractional
    bond = (samples[:, 1, 0] - samples[:, 0, 0]) % 1
    near = np.abs(bond[:, None] - bonds.numpy()) < 0.06
    assert near.any(axis=1).mean() > 0.8
    assert 0.25 < near[:, 0].mean() < 0.75


@pytest.mark.parametrize("sigma_max", [[0.1], [0.2, 0.1, 0.05]])
def test_targets_have_unit_mean_square_on_every_axis_and_level(sigma_max):
    net, source = model(sigma_max=sigma_max), torch.Generator().manual_seed(0)
    fractional = torch.rand(4000, 4, 3)
    for share in (0.0, 0.5, 0.999):
        _, times, answers = net.example(fractional, torch.full((4000,), share), source)
        assert (times == 1 + int(1000 * share)).all()
        assert answers.square().mean(dim=(0, 1)).tolist() == pytest.approx([1, 1, 1], abs=0.05)


def test_noise_moves_the_structure_as_the_target_says():
    """Noise is small beside the cell at level 1: the target is the noise over its deviation."""
    net, fractional = model(), torch.rand(5, 4, 3)
    seen, _, answers = net.example(fractional, torch.zeros(5), torch.Generator().manual_seed(0))
    moved = seen - fractional
    torch.testing.assert_close(moved - moved.round(), 0.005 * answers, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("batch_size", "n"), [(2, 5), (3, 5), (5, 5), (16, 3)])
def test_samples_do_not_depend_on_batches_or_their_number(batch_size, n):
    net = model()
    expected = net.sample(5, seed=3, steps=20)
    found = net.sample(n, seed=3, batch_size=batch_size, steps=20)
    apart = found.fractional - expected.fractional[:n]
    assert np.abs(apart - np.rint(apart)).max() < 1e-5
    assert found.species == tuple(SPECIES)


def test_seeds_and_purposes_differ():
    net = model()
    one = net.sample(2, seed=1, steps=5)
    for other in (net.sample(2, seed=2, steps=5), net.sample(2, seed=1, purpose="quality", steps=5)):
        assert matched_distances(one, other).min() > 0.1


def test_a_translated_noise_gives_a_translated_sample():
    """The network sees differences: the score of a moved structure is the same."""
    net, fractional = model(), torch.rand(3, 4, 3)
    times = torch.tensor([1.0, 10.0, 1000.0])
    torch.testing.assert_close(net.network(fractional, times), net.network(fractional + 0.3, times), rtol=0, atol=1e-4)


def test_shift_is_undone():
    plain, moved = model(), DiffCSP(CELL, SPECIES, shift=[0.25, 0.0, 0.5], **SMALL)
    one, other = plain.sample(3, seed=1, steps=5), moved.sample(3, seed=1, steps=5)
    shifted = Crystals(one.fractional + np.array([0.25, 0.0, 0.5]), one.cell, one.species)
    assert shifted.same_as(other)


@pytest.mark.parametrize(
    ("species", "rows", "count"),
    [
        (["Li"] * 72 + ["Co"] * 36 + ["Sc"] * 12 + ["O"] * 72 + ["Cl"] * 72, 27, 2_516_480),
        (["Si"] * 256, 14, 2_513_152),
        (["Fe"] * 154 + ["Ni"] * 51 + ["Cr"] * 51, 28, 2_516_736),
    ],
)
def test_parameters_of_the_benchmark(species, rows, count):
    net = DiffCSP(CELL, species, species_rows=rows, cell_term=True, cell_head=True)
    assert sum(parameter.numel() for parameter in net.network.parameters()) == count


def test_average_of_weights():
    net = model(ema=0.9)
    start = [parameter.clone() for parameter in net.averaged.module.parameters()]
    net.averaged.update_parameters(net.network)  # the first update copies
    with torch.no_grad():
        for parameter in net.network.parameters():
            parameter.add_(1.0)
    net.averaged.update_parameters(net.network)
    for averaged, before in zip(net.averaged.module.parameters(), start, strict=True):
        torch.testing.assert_close(averaged, before + 0.1)
    with net.averaged_weights():
        for weights, before in zip(net.network.parameters(), start, strict=True):
            torch.testing.assert_close(weights, before + 0.1)
    for weights, before in zip(net.network.parameters(), start, strict=True):
        torch.testing.assert_close(weights, before + 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma_max": [0.1, 0.2]}, "sigma_max"),
        ({"sigma_max": [0.001]}, "sigma_min"),
        ({"hidden": 7}, "hidden"),
        ({"ema": 1.0}, "ema"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed"),
        ({"species_rows": 3}, "species_rows=3: the set has an element of number 17"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(CryinGANError, match=message):
        model(**settings)
