"""CDVAE: its counts, what its loss begins with, what it learns, its settings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from cryingan.errors import CryinGANError
from cryingan.models.cdvae.cdvae import CDVAE
from cryingan.models.cdvae.network import divergence
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_distances
from tests.support.small_models import CELL, SPECIES
from tests.support.small_models import SMALL as KINDS

SMALL = KINDS["cdvae"]
INTERFACE = ["Li"] * 72 + ["Co"] * 36 + ["Sc"] * 12 + ["O"] * 72 + ["Cl"] * 72


def model(**settings):
    return CDVAE(CELL, SPECIES, **{**SMALL, **settings})


def test_parameters_of_the_benchmark():
    """4,200,582 without heads for cell and composition and without the branch for an energy, none unused."""
    net = CDVAE((12 * np.eye(3)).tolist(), INTERFACE, encoder_rows=95, decoder_rows=27)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in net.network.named_children()}
    assert count == {"encoder": 2_213_510, "decoder": 1_855_488, "mean": 65_792, "log_variance": 65_792}
    assert sum(count.values()) == 4_200_582


def test_no_parameter_is_without_a_gradient():
    net = model()
    net.objective(net.losses(torch.rand(3, 4, 3), torch.rand(3), torch.Generator().manual_seed(0))).backward()
    assert [name for name, weights in net.named_parameters() if weights.grad is None] == []


@pytest.mark.parametrize(("cell", "loss"), [((7.3528, 7.3528, 33.4368), 1.320), ((14.4, 14.4, 14.4), 1.369)])
def test_loss_of_a_decoder_that_knows_nothing(cell, loss):
    """The mean over all levels, with noise that the cell wraps."""
    net = CDVAE(np.diag(cell).tolist(), ["Li", "Cl"], **{**SMALL, "noise_levels": 50, "neighbors": 1})
    for block in net.network.decoder.outputs:
        nn.init.zeros_(block.number.weight)
    count = 50 * 400
    shares, source = (torch.arange(count) + 0.5) / count, torch.Generator().manual_seed(0)
    with torch.no_grad():
        found = net.losses(torch.rand(count, 2, 3, generator=source), shares, source)["loss"]
    assert found.item() == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize("reduced", [False, True])
def test_noise_moves_the_structure_as_the_target_says(reduced):
    """In single precision, also where networks compute in bfloat16."""
    net, fractional = model(noise_levels=5), torch.rand(50, 4, 3)
    shares = torch.linspace(0, 0.999, 50)
    with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        seen, latent, times, back, kl = net.noisy(fractional, shares, torch.Generator().manual_seed(0))
    assert {one.dtype for one in (seen, latent, back, kl)} == {torch.float32}
    sigma = 10.0 * (0.01 / 10) ** (torch.floor(shares * 5) / 4)
    arrived = seen + (sigma[:, None, None] * back) @ torch.from_numpy(net.inverse).float()
    assert (arrived - fractional - (arrived - fractional).round()).abs().max() < 1e-5
    assert times.unique().tolist() == [0, 200, 400, 600, 800]


def test_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=-1).mean()
    torch.testing.assert_close(divergence(mean, log_variance), expected)


def test_latent_vectors_have_the_encoders_mean_and_variance(monkeypatch):
    net = model()
    monkeypatch.setattr(net.network, "encoded", lambda x: (torch.full((len(x), 4), 2.0), torch.full((len(x), 4), -2.0)))
    fractional = torch.rand(1, 4, 3).expand(4000, -1, -1)
    _, latent, _, _, kl = net.noisy(fractional, torch.rand(4000), torch.Generator().manual_seed(0))
    assert latent.mean().item() == pytest.approx(2, abs=0.02)
    assert latent.std().item() == pytest.approx(np.exp(-1), abs=0.01)
    assert kl.item() == pytest.approx(net.hparams.latent * (4 + np.exp(-2) + 1) / 2, rel=1e-4)


def overfitted(net, structure, steps, size=32, rate=5e-3):
    """Train on one structure alone; return the mean loss of many noisy ones."""
    optimizer, source = torch.optim.Adam(net.network.parameters(), lr=rate), torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        shares = (torch.randperm(size, generator=source) + torch.rand(size, generator=source)) / size
        optimizer.zero_grad()
        net.objective(net.losses(structure.expand(size, -1, -1), shares, source)).backward()
        optimizer.step()
    with torch.no_grad():
        return net.losses(structure.expand(4000, -1, -1), torch.arange(4000) / 4000, source)["loss"].item()


def test_learns_what_it_can_see_of_two_atoms():
    """Alone in a cell they show their distance: of six directions of noise one, of a loss of 3/2 a sixth."""
    levels = {"noise_levels": 5, "sigma_max": 0.3, "sigma_min": 0.1, "radius": 5.0}
    net = CDVAE((8 * np.eye(3)).tolist(), ["Li", "Cl"], **{**SMALL, "hidden": 24, "gaussians": 64, **levels})
    loss = overfitted(net, torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.45, 0.4]]), 160, rate=1e-2)
    assert 1.2 < loss < 1.35  # 1.25


@pytest.mark.slow
def test_one_structure_comes_back_up_to_a_translation_and_a_mirror():
    """From its own latent vector; images of atoms show how it is turned."""
    species, structure = ["Li", "Cl", "O"], torch.tensor([[0.1, 0.2, 0.3], [0.45, 0.2, 0.3], [0.45, 0.55, 0.3]])
    levels = {"noise_levels": 20, "sigma_max": 4.0, "sigma_min": 0.02, "step_size": 4e-4, "steps_per_level": 20}
    sizes = {**SMALL, **levels, "hidden": 24, "triplets": 8, "gaussians": 64, "neighbors": 100, "radius": 9.0}
    net = CDVAE(CELL, species, **sizes, sees_level=True, denoise=True)
    overfitted(net, structure, 800)
    known = Crystals(structure.double().numpy()[None], CELL, tuple(species))
    net.anchor.fit(known[[0, 0]])
    with torch.no_grad():
        latent = net.network.encoded(structure[None])[0].expand(20, -1)
        found = net.decoded(latent, [torch.Generator().manual_seed(k) for k in range(20)])
    placed = Crystals(net.placed(found.double().numpy()), CELL, tuple(species))
    assert np.quantile(matched_distances(placed, known), 0.8) < 0.05


def test_samples_do_not_depend_on_batches_after_hundreds_of_passes():
    """Rounding by the size of a batch would move atoms by Angstroms."""
    net = CDVAE(CELL, SPECIES * 3, **{**SMALL, "noise_levels": 30, "steps_per_level": 7, "gaussians": 16})
    one, two = net.sample(1, seed=1), net.sample(2, seed=1, batch_size=2)
    apart = one.fractional - two.fractional[:1]
    assert np.abs(apart - np.rint(apart)).max() < 1e-6


def test_scale_factors_are_fitted_once():
    net = model()
    crystals = Crystals(np.random.default_rng(0).random((9, 4, 3)), CELL, tuple(SPECIES))
    data = SimpleNamespace(training=crystals)
    net.trainer = SimpleNamespace(datamodule=data)
    net.on_fit_start()
    factor = net.network.decoder.blocks[0].of_atoms.factor
    first = factor.item()
    assert first != 1
    data.training = crystals[3:]
    net.on_fit_start()
    assert factor.item() == first
    assert model(scale_factors="published", blocks=3).network.decoder.blocks[0].of_atoms.factor.item() != first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder_hidden": 7}, "encoder_hidden=7: it must be even"),
        ({"gaussians": 1}, "gaussians"),
        ({"sigma_min": 20.0}, "sigma_min=20.0: it must be less than model.sigma_max=10.0"),
        ({"radius": 0.0}, "radius"),
        ({"encoder_radius": float("inf")}, "encoder_radius"),
        ({"step_size": -1e-4}, "step_size"),
        ({"scale_factors": "published"}, "scale_factors=published: it must be fitted where model.blocks is not 3"),
        ({"decoder_rows": 3}, "decoder_rows=3: the set has an element of number 17"),
        ({"neighbors": 0}, "neighbors"),
        ({"ema": 1.0}, "ema"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(CryinGANError, match=message):
        model(**settings)
