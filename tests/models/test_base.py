"""What all models keep: registry, hyper-parameters, checkpoints, sampler keys."""

import math

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.registry import MODELS, model_class
from cryingan.structures.crystals import Crystals
from cryingan.training.checkpoints import load_model
from tests.support.small_models import GENERATOR, SMALL, checkpoint_of, small_model


@pytest.mark.parametrize("kind", MODELS)
def test_registry_names_the_class(kind):
    assert model_class(kind).kind == kind
    assert isinstance(small_model(kind), model_class(kind))
    assert set(vars(MODELS[kind].settings(**SMALL[kind]))) <= set(small_model(kind).hparams)


def test_unknown_model():
    with pytest.raises(CryinGANError, match="no model 'vae'; the models are cryingan, comb, cgcnn, linear"):
        model_class("vae")


@pytest.mark.parametrize("kind", MODELS)
def test_contract_of_samples(kind):
    """Exactly n structures in the order of the file; a larger n begins with the same; training is not disturbed."""
    model = small_model(kind).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    five = model.sample(5, seed=2)
    assert (len(five), five.species) == (5, ("Li", "Cl", "Li", "O"))
    assert five.cell.tolist() == model.hparams.cell
    apart = model.sample(3, seed=2, batch_size=2).fractional - five.fractional[:3]
    assert np.abs(apart - np.rint(apart)).max() < 1e-5  # batches change rounding only
    assert not model.sample(5, seed=3).same_as(five)
    assert not model.sample(5, seed=2, purpose="quality").same_as(five)
    assert model.training
    assert torch.get_rng_state().equal(random_state)
    assert all(value.equal(state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", MODELS)
def test_a_shift_moves_samples_back(kind):
    plain, moved = small_model(kind), small_model(kind, shift=[0.25, 0.0, 0.5])
    moved.load_state_dict(plain.state_dict())
    samples = plain.sample(3, seed=1)
    expected = Crystals(samples.fractional + np.array([0.25, 0.0, 0.5]), samples.cell, samples.species)
    assert moved.sample(3, seed=1).same_as(expected)


@pytest.mark.parametrize("kind", MODELS)
def test_checkpoints_say_what_they_are(kind, tmp_path):
    model = small_model(kind)
    path = checkpoint_of(model, tmp_path / "last.ckpt")
    loaded = load_model(path)
    assert type(loaded) is type(model)
    assert dict(loaded.hparams) == dict(model.hparams)
    assert loaded.sample(3, seed=1).same_as(model.sample(3, seed=1))


@pytest.mark.parametrize(
    ("kind", "known"),
    [("cryingan", "refine_steps"), ("comb", "none"), ("cgcnn", "none"), ("linear", "none"), ("flow", "steps, heun")],
)
def test_unknown_sampler_keys(kind, known):
    with pytest.raises(CryinGANError, match=f"sampler.colour: the sampler of {kind} has no such key; it has {known}"):
        small_model(kind).sample(1, seed=1, colour=2)


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        ("cryingan", "refine_steps", -1, "sampler.refine_steps=-1: it must be at least 0"),
        ("diffcsp", "steps", 0, "sampler.steps=0: it must be between 1 and 1000"),
        ("diffcsp", "steps", 5000, "sampler.steps=5000: it must be between 1 and 1000"),
        ("diffcsp", "steps", 1.5, "sampler.steps=1.5: it must be a whole number"),
        ("diffcsp", "step_size", -1, "sampler.step_size=-1: it must be at least 0 and less than 5e-05"),
        ("diffcsp", "step_size", 5e-5, "sampler.step_size=5e-05: it must be at least 0 and less than 5e-05"),
        ("diffcsp", "step_size", math.inf, "sampler.step_size=inf: it must be at least 0"),
        ("flow", "steps", -3, "sampler.steps=-3: it must be at least 1"),
        ("cdvae", "steps_per_level", 0, "sampler.steps_per_level=0: it must be at least 1"),
        ("cdvae", "step_size", 0.0, "sampler.step_size=0.0: it must be a number greater than 0"),
        ("cdvae", "step_size", 1e30, "sampler.step_size=1e[+]30: it must be less than 2 .*sigma_min.2 = 0.0002: steps"),
        ("unimat", "elements", "some", "sampler.elements=some: it must be one of strict, read, fixed"),
        ("crystens", "steps", 0, "sampler.steps=0: it must be at least 1"),
        ("flow", "heun", "yes", "sampler.heun=yes: it must be true or false"),
    ],
)
def test_values_that_a_sampler_does_not_take(kind, key, value, said):
    with pytest.raises(CryinGANError, match=said):
        small_model(kind).sample(1, seed=1, **{key: value})


@pytest.mark.parametrize(
    ("kind", "name", "known"),
    [
        ("cryingan", "pooling", "avg, max, mix"),
        ("flow", "prior", "uniform, linear"),
        ("cdvae", "scale_factors", "fitted, published"),
        ("unimat", "order", "file, sites, random"),
        ("crystens", "schedule", "plateau, constant, cosine"),
    ],
)
def test_words_that_a_setting_does_not_take(kind, name, known):
    with pytest.raises(CryinGANError, match=f"model.{name}=some: it must be one of {known}"):
        small_model(kind, **{name: "some"})


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        ("unimat", "multiples", [1, 1.5], r"=\[1, 1.5\]: it must be a list of whole numbers from 1 up"),
        ("crystens", "blocks", [0.5], r"=\[0.5\]: it must be whole numbers from 0 up"),
        ("crystens", "second_blocks", [1.0], r"=\[1.0\]: it must be whole numbers from 0 up"),
        ("unimat", "attention", ["yes"], "it must be true or false each"),
        ("diffcsp", "learning_rate", float("inf"), "=inf: it must be a number greater than 0"),
        ("flow", "least_learning_rate", float("nan"), "=nan: it must be a number greater than 0"),
    ],
)
def test_values_that_a_setting_does_not_take(kind, name, value, said):
    with pytest.raises(CryinGANError, match=f"model.{name}.*{said}"):
        small_model(kind, **{name: value})


@pytest.mark.parametrize("kind", MODELS)
def test_settings_of_another_model(kind):
    with pytest.raises(CryinGANError, match=r"model.widht: \w+ has no such setting; it has .*seed"):
        small_model(kind, widht=3)


@pytest.mark.parametrize("kind", MODELS)
def test_samples_in_double_precision_are_those_of_single(kind):
    model = small_model(kind)
    single, double = model.sample(2, seed=1), model.double().sample(2, seed=1)
    apart = double.fractional - single.fractional
    assert abs(apart - apart.round()).max() < 1e-3


@pytest.mark.parametrize("kind", MODELS)
def test_no_samples(kind):
    with pytest.raises(CryinGANError, match="n=0: there must be at least 1 sample"):
        small_model(kind).sample(0, seed=1)


@pytest.mark.parametrize("kind", ["cryingan", "comb", "cgcnn", "linear"])
def test_temperature_scales_the_noise(kind):
    """A hot sample is that of scaled noise: of a model without scale, as its first layer takes it times two."""
    cold, hot = small_model(kind), small_model(kind)
    hot.load_state_dict(cold.state_dict())
    if kind == "linear":
        hot.components.modes *= 2
    else:
        first = next(hot.generator.parameters())
        assert first.shape[1] == GENERATOR["latent_dim"]
        first.data *= 2
    assert cold.sample(3, seed=1, temperature=2.0).same_as(hot.sample(3, seed=1))
    assert not cold.sample(3, seed=1, temperature=2.0).same_as(cold.sample(3, seed=1))


@pytest.mark.parametrize("kind", ["diffcsp", "flow", "cdvae"])
def test_no_temperature(kind):
    """Models from uniform places have no noise to scale."""
    with pytest.raises(CryinGANError, match=rf"temperature=0.7: .*\({kind}\) have no temperature"):
        small_model(kind).sample(1, seed=1, temperature=0.7)
    assert len(small_model(kind).sample(1, seed=1, temperature=1.0)) == 1


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_none(value):
    with pytest.raises(CryinGANError, match=f"temperature={value}: it must be a number greater than 0"):
        small_model("linear").sample(1, seed=1, temperature=value)


@pytest.mark.parametrize("batch_size", [None, 1, 3, 7])
def test_best_of_keeps_the_candidate_that_the_distances_rate_best(batch_size):
    model = small_model("cryingan", distance_weight=0.05).eval()
    candidates = model.sample(12, seed=1)
    structures = torch.from_numpy(model.as_in_batches(candidates).fractional).float()
    ratings = model.discriminators["distances"](model.features(structures)["distances"]).mean(dim=1).tolist()
    best = [max(range(k, k + 3), key=ratings.__getitem__) for k in range(0, 12, 3)]
    chosen = model.sample(4, seed=1, best_of=3, batch_size=batch_size)
    assert np.allclose(chosen.fractional, candidates[best].fractional, atol=1e-6)
    assert model.sample(2, seed=1, best_of=3).same_as(model.sample(4, seed=1, best_of=3)[:2])


@pytest.mark.parametrize("kind", ["comb", "cgcnn", "linear", "diffcsp", "flow", "cdvae", "lambda 0"])
def test_nothing_rates_candidates(kind):
    model = small_model("cryingan", distance_weight=0.0) if kind == "lambda 0" else small_model(kind)
    with pytest.raises(CryinGANError, match=r"best_of=2: .* no trained discriminator of distances"):
        model.sample(1, seed=1, best_of=2)


def test_candidates_that_are_none():
    with pytest.raises(CryinGANError, match="best_of=0: it must be at least 1"):
        small_model("cryingan").sample(1, seed=1, best_of=0)
