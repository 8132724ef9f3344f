"""The flow: closed forms, the pairing of starts, its samples."""

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.flow.flow import Flow, integrated
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from cryingan.structures.matching import matched_distances
from data.module import StructureData
from tests.support.models import quiet_trainer

CELL = np.array([[6.0, 0, 0], [3.0, 5.0, 0], [0, 1.0, 8.0]])
SPECIES = ["Li", "Cl", "Li", "O", "Li", "Cl"]
SMALL = {"hidden": 16, "layers": 1, "frequencies": 4}


def model(**settings):
    return Flow(CELL.tolist(), SPECIES, **{**SMALL, **settings})


def trainer_of(training, rank=0):
    """What a flow asks of its trainer before the first epoch."""
    settings = SimpleNamespace(batch_size=4)
    data = SimpleNamespace(training=training, settings=settings, order_by=lambda sites: None)
    return SimpleNamespace(datamodule=data, global_rank=rank)


def trained(path):
    """A flow from the linear model after an epoch, and its loss of the held-out structures."""
    net, trainer = model(prior="linear", sites=True), quiet_trainer()
    trainer.fit(net, datamodule=StructureData(path, validation=0.3, batch_size=4))
    return net, trainer.callback_metrics["val/loss"]


@pytest.mark.parametrize("heun", [False, True])
@pytest.mark.parametrize("steps", [10, 40])
def test_one_site_is_reached(heun, steps):
    """The exact velocity towards one site is w(site - x) / (1 - t); Euler's last step lands on it."""
    site, start = torch.tensor([0.9, 0.1, 0.5]), torch.rand(500, 3)

    def velocity(places, time):
        apart = site - places
        return (apart - apart.round()) / max(1 - time, 1 / steps)

    apart = integrated(start, velocity, steps, heun) - site
    assert (apart - apart.round()).abs().max() < (1 / steps if heun else 1e-5)


def test_methods_have_the_order_that_they_should():
    """x' = x t from 1 ends at exp(1/2); halving the step divides the error by 2 and by 4."""

    def error(steps, heun):
        found = integrated(torch.ones(1, dtype=torch.float64), lambda x, t: x * t, steps, heun)
        return abs(found.item() - np.exp(0.5))

    assert error(50, heun=False) / error(100, heun=False) == pytest.approx(2, rel=0.05)
    assert error(50, heun=True) / error(100, heun=True) == pytest.approx(4, rel=0.05)


def test_uniform_starts_are_paired_within_species():
    """The ways that are learned, in a skewed cell not always the shortest, have the least sum of squares."""
    net = model()
    torch.manual_seed(0)
    fractional, random = torch.rand(2, 20, 6, 3)
    paired = net._paired_atoms(random, fractional)
    assert sorted(map(len, net.blocks)) == [2, 3]
    alone = net.grouped_species.index("O")
    assert paired[:, alone].equal(random[:, alone])

    def squares(starts, ends):
        moves = (ends - starts).double()
        return ((moves - moves.round()) @ torch.from_numpy(CELL)).square().sum(dim=(1, 2))

    for block in net.blocks:  # the same places, in another order
        assert paired[:, block].sort(dim=1).values.equal(random[:, block].sort(dim=1).values)
        ends, orders = fractional[:, block], permutations(block.tolist())
        least = torch.stack([squares(random[:, list(order)], ends) for order in orders]).amin(dim=0)
        torch.testing.assert_close(squares(paired[:, block], ends), least)


@pytest.mark.parametrize("prior", ["uniform", "linear"])
def test_all_processes_have_one_scale(prior, monkeypatch):
    training = Crystals(np.random.default_rng(0).normal(0.5, 0.02, size=(12, 6, 3)), CELL, SPECIES)
    scales = []
    for rank in (0, 1):
        net = model(prior=prior)
        net.trainer = trainer_of(training, rank)
        net.on_fit_start()
        scales.append(net.scale)
    assert scales[0].equal(scales[1])
    assert not scales[0].equal(torch.ones(3))


def test_uniform_structures_need_no_velocity():
    """One atom anywhere: the mean of its way is zero, wherever it is seen, so that the best answer is zero."""
    net = Flow(CELL.tolist(), ["Li"], **SMALL)
    source = torch.Generator().manual_seed(0)
    seen, _, answers = net.example(torch.rand(4_000, 1, 3, generator=source), torch.full((4_000,), 0.6), source)
    for axis in range(3):
        place = (8 * (seen[:, 0, axis] % 1)).long()
        means = torch.stack([answers[place == part, 0, axis].mean() for part in range(8)])
        assert means.abs().max() < 0.06  # 1 / sqrt(12 * 500) is 0.013


@pytest.mark.parametrize(("heun", "error"), [(False, 2e-2), (True, 2e-4)])
def test_the_way_back_ends_at_the_start(heun, error):
    start = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def velocity(places, time):
        return 0.1 * torch.sin(2 * np.pi * places) * (1 + time)

    end = integrated(start, velocity, 50, heun)
    assert (end - start).abs().max() > 0.05
    back = integrated(end, lambda places, time: -velocity(places, 1 - time), 50, heun)
    assert (back - start).abs().max() < error


def test_linear_starts_are_paired_over_the_batch():
    net = model()
    ends = torch.rand(8, 6, 3)
    shuffled = ends[torch.randperm(8, generator=torch.Generator().manual_seed(1))] + 0.01
    torch.testing.assert_close(net._paired_structures(shuffled, ends), ends + 0.01)


def test_what_is_seen_lies_on_the_way():
    net, fractional = model(), torch.rand(50, 6, 3)
    shares = torch.rand(50)
    seen, times, answers = net.example(fractional, shares, torch.Generator().manual_seed(0))
    ends = seen + (1 - shares)[:, None, None] * answers * net.scale
    apart = ends - fractional
    assert (apart - apart.round()).abs().max() < 1e-5
    torch.testing.assert_close(times, 1000 * shares)


def test_atoms_with_sites_have_rows_of_their_own():
    net = model(prior="linear", sites=True, ema=0.5)
    training = Crystals(np.random.default_rng(0).normal(0.5, 0.02, size=(12, 6, 3)), CELL, SPECIES)
    net.trainer = trainer_of(training)
    net.on_fit_start()
    assert net.network.embedding.weight.shape[0] == len(SPECIES)
    net.averaged.update_parameters(net.network)
    for network in (net.network, net.averaged.module):
        torch.testing.assert_close(network.sites, net.components.sites.float())


def test_the_order_of_equal_atoms_in_the_file_changes_nothing(tmp_path):
    """From the linear prior, neither in training nor in what is held out, if the first structure has the same order."""
    moves = np.random.default_rng(0).normal(scale=0.02, size=(12, 6, 3))
    places = np.random.default_rng(1).random((6, 3)) + moves
    write_structures(Crystals(places, CELL, SPECIES), tmp_path / "one.extxyz")
    first = StructureData(tmp_path / "one.extxyz", validation=0.3).split()[0][0]
    shuffled = places[:, [2, 1, 4, 3, 0, 5]]  # the Li
    shuffled[first] = places[first]
    write_structures(Crystals(shuffled, CELL, SPECIES), tmp_path / "other.extxyz")
    (one, loss), (other, expected) = (trained(tmp_path / f"{name}.extxyz") for name in ("one", "other"))
    torch.testing.assert_close(one.state_dict(), other.state_dict())
    torch.testing.assert_close(loss, expected)


def test_sites_are_those_of_the_linear_prior():
    with pytest.raises(CryinGANError, match=r"model.sites=True: it must be false without model.prior=linear"):
        model(sites=True)


def test_temperature_scales_the_codes_of_the_linear_prior():
    """Without a velocity samples are the prior: their displacements from the sites grow with the temperature."""
    net = model(prior="linear", prior_noise=0.0)
    training = Crystals(np.random.default_rng(0).normal(0.5, 0.01, size=(12, 6, 3)), CELL, SPECIES)
    net.components.fit(net.as_in_batches(training), 4)
    torch.nn.init.zeros_(net.network.head.weight)
    sites = net.components.sites.numpy()
    cold, plain = (net.as_in_batches(net.sample(5, seed=1, temperature=t)).fractional - sites for t in (0.5, 1.0))
    assert cold == pytest.approx(plain / 2, abs=1e-6)
    assert np.abs(plain).max() > 1e-3


@pytest.mark.parametrize(("batch_size", "n"), [(2, 5), (16, 3)])
def test_samples_do_not_depend_on_batches_or_their_number(batch_size, n):
    net = model()
    expected, found = net.sample(5, seed=3, steps=8), net.sample(n, seed=3, batch_size=batch_size, steps=8)
    apart = found.fractional - expected.fractional[:n]
    assert np.abs(apart - np.rint(apart)).max() < 1e-5
    assert found.species == tuple(SPECIES)


def test_learns_one_structure_where_it_is():
    """Absolute places: no translation is left free, and the loss has no floor."""
    net = Flow(CELL.tolist(), ["Li", "Cl", "O"], hidden=32, layers=2, frequencies=4)
    structure = torch.tensor([[0.1, 0.2, 0.3], [0.6, 0.7, 0.1], [0.3, 0.5, 0.8]])
    optimizer, source = torch.optim.Adam(net.network.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    for _ in range(400):
        loss = net.loss(structure.expand(16, -1, -1), torch.rand(16, generator=source), source)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    samples = net.sample(20, seed=1, steps=30)
    known = Crystals(structure.double().numpy()[None], CELL, ("Li", "Cl", "O"))
    assert np.median(matched_distances(samples, known)) < 0.5
    assert np.median(matched_distances(Flow(CELL.tolist(), ["Li", "Cl", "O"], **SMALL).sample(20, 1), known)) > 1.5
