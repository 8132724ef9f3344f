"""A generator that begins with the linear model (`model.warm_start=linear`)."""

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.warm_start import REACH
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from cryingan.structures.matching import mean_structure
from cryingan.training.replicas import Replicas
from data.module import StructureData, with_distances
from tests.support.models import quiet_trainer
from tests.support.small_models import CELL, SMALL, SPECIES

SITES = np.array([[0.98, 0.1, 0.1], [0.3, 0.6, 0.2], [0.7, 0.3, 0.9], [0.2, 0.2, 0.6]])


def scattered(number=40):
    """Structures about sites, one of them at the border of the cell."""
    moves = np.random.default_rng(0).normal(scale=0.02, size=(number, 4, 3))
    return Crystals((SITES + moves) % 1, CELL, SPECIES)


def fitted(**changes):
    settings = {**SMALL["cryingan"], "warm_start": "linear", "latent_dim": 5}
    model = CryinGAN(CELL, SPECIES, **{**settings, **changes})
    model.start.components.fit(model.as_in_batches(scattered()), model.hparams.latent_dim)
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_untrained_samples_are_those_of_the_linear_model(dtype):
    model = fitted().to(dtype)
    noise = torch.randn(20, 5, dtype=dtype)
    components = model.start.components
    expected = components.decode(noise, model.cell)
    apart = model.structures(model.generator, noise) - expected
    assert (apart - apart.round()).abs().max() < 1e-6
    assert model.structures(model.generator, noise).dtype == dtype
    assert (expected - components.sites).std() > 0.005  # structures differ, in some of the ways in which the set does


def test_noise_beyond_the_components_is_not_used():
    model = fitted(latent_dim=50, ema=0.9)  # of four atoms
    assert len(model.start.components.modes) == 12
    torch.nn.init.normal_(model.generator.layers[-1].weight)
    noise, other = torch.randn(2, 3, 50)
    alike = torch.cat([noise[:, :12], other[:, 12:]], dim=1)
    assert model.structures(model.generator, noise).equal(model.structures(model.generator, alike))
    assert not model.structures(model.generator, noise).equal(model.structures(model.generator, other))
    assert not model.start.codes(noise)[:, 12:].any()


@pytest.mark.parametrize(("components", "latent_dim", "kept"), [(None, 50, "share"), (None, 2, 2), (3, 50, 3)])
def test_components_hold_most_of_the_variance_or_are_chosen(tmp_path, components, latent_dim, kept, caplog):
    write_structures(scattered(), tmp_path / "set.extxyz")
    changes = {"components": components, "latent_dim": latent_dim, "warm_start": "linear"}
    model = CryinGAN(CELL, SPECIES, **{**SMALL["cryingan"], **changes})
    data = StructureData(tmp_path / "set.extxyz", batch_size=8)
    quiet_trainer().fit(model, data)
    assert "steps: samples are still near those of the linear model" in caplog.text
    # The same decomposition by eigenvalues of the covariance.
    flat = mean_structure(model.as_in_batches(data.training)).displacements.reshape(len(data.training), -1)
    variances = np.linalg.eigvalsh(flat.T @ flat)[::-1]
    enough = next(k for k in range(1, 13) if variances[:k].sum() >= 0.85 * variances.sum())
    assert 2 < enough < 12
    assert len(model.start.components.modes) == (enough if kept == "share" else kept)


@pytest.mark.parametrize("axis", range(3))
def test_outputs_move_atoms_along_the_axes_of_space(axis):
    model, noise = fitted().double(), torch.zeros(1, 5, dtype=torch.float64)
    outputs = torch.full((1, 4, 3), 0.5, dtype=torch.float64)
    outputs[0, 2, axis] = 0.75
    apart = model.start(noise, outputs) - model.start(noise, torch.full_like(outputs, 0.5))
    moved = ((apart - apart.round()) @ model.cell)[0]
    expected = torch.zeros(4, 3, dtype=torch.float64)
    expected[2, axis] = REACH / 2
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-9)


def test_gradients_reach_the_generator_but_not_the_components():
    model = fitted().train()
    model.structures(model.generator, torch.randn(4, 5)).sum().backward()
    assert model.generator.layers[-1].weight.grad.abs().max() > 0
    assert not [name for name, _ in model.named_parameters() if name.startswith("start")]


def test_places_are_exact_under_autocast():
    model, noise = fitted(), torch.randn(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.start(noise, torch.full((4, 4, 3), 0.5))
    torch.testing.assert_close(rounded, model.start(noise, torch.full((4, 4, 3), 0.5)), rtol=0, atol=0)


def test_stacked_models_share_it():
    models = [fitted(seed=seed).train() for seed in (1, 2)]
    for model in models:
        model.trainer = quiet_trainer()
        model.trainer.strategy._lightning_module = model
        model.trainer.strategy.setup_optimizers(model.trainer)
    noise = torch.randn(2, 3, 5)
    together = Replicas(models)
    found = together.structures(together.generator, noise)
    for model, one, structures in zip(models, noise, found, strict=True):
        torch.testing.assert_close(structures, model.structures(model.generator, one))


def test_discriminators_that_know_sites_see_displacements():
    """Cartesian ones of the nearest image; a structure at its sites has none."""
    model = fitted(sites=True).double()
    sites = model.start.components.sites
    apart = torch.tensor([[0.3, 0.0, -0.2], [0.0, 0.4, 0.0], [0.0, 0.0, 0.0], [-0.1, 0.2, 0.3]], dtype=torch.float64)
    structures = (sites + apart @ torch.linalg.inv(model.cell))[None] % 1
    torch.testing.assert_close(model.features(structures)["coordinates"], apart[None])
    batch = torch.cat([structures, torch.zeros(1, 4, model.n_neighbors)], dim=-1)
    torch.testing.assert_close(model.real_features(batch)["coordinates"], apart[None])


def test_batches_are_in_the_order_of_the_sites(tmp_path):
    """Whatever the order of the atoms of a species in the file, with their distances."""
    structures = scattered()
    shuffled = structures.fractional.copy()
    shuffled[::2, [0, 2]] = shuffled[::2, [2, 0]]  # the two Li
    write_structures(Crystals(shuffled, CELL, SPECIES), tmp_path / "set.extxyz")
    data = StructureData(tmp_path / "set.extxyz", validation=0.2)
    grouped = structures.reordered(structures.grouping)
    model = fitted()
    for name, indices in zip(("training", "validation"), data.split(), strict=True):
        places = torch.tensor(data.crystals.reordered(structures.grouping).fractional[indices], dtype=torch.float32)
        data.tensors[name] = with_distances(places, torch.tensor(grouped.cell), 3)
    expected = {
        name: with_distances(torch.tensor(grouped.fractional[i], dtype=torch.float32), torch.tensor(grouped.cell), 3)
        for name, i in zip(("training", "validation"), data.split(), strict=True)
    }
    assert not data.tensors["training"].allclose(expected["training"], atol=1e-4)
    data.order_by(model.start.components.as_structure(model.template.cell, model.grouped_species))
    for name, tensor in expected.items():
        torch.testing.assert_close(data.tensors[name], tensor, atol=1e-4, rtol=0)


def test_sites_need_a_warm_start():
    with pytest.raises(CryinGANError, match=r"model.sites=True: only with model.warm_start=linear"):
        CryinGAN(CELL, SPECIES, **SMALL["cryingan"], sites=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"components": 3}, "model.components=3: only model.warm_start=linear has components"),
        (
            {"components": 9, "latent_dim": 8, "warm_start": "linear"},
            "model.components=9: .* at most model.latent_dim=8",
        ),
        ({"components": 0, "warm_start": "linear"}, "model.components=0: it must be at least 1"),
    ],
)
def test_components_that_would_not_be_used_are_refused(changes, said):
    with pytest.raises(CryinGANError, match=said):
        CryinGAN(CELL, SPECIES, **{**SMALL["cryingan"], **changes})


def test_no_samples_before_it_is_fitted():
    model = CryinGAN(CELL, SPECIES, **SMALL["cryingan"], warm_start="linear")
    with pytest.raises(CryinGANError, match="the linear model is not fitted yet: train it first"):
        model.sample(1, seed=1)
