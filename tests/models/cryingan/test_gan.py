import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from benchmarks.reference_cycle import reference_cycle
from cryingan.models.cryingan.critic import score_difference
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.epoch_means import EpochMeans
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of, quiet_trainer

EXACT = {"rtol": 1e-9, "atol": 1e-9}


class Recorder(Callback):
    """The gradients of every network in the order of the steps."""

    def __init__(self):
        self.gradients = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        name = list(module.networks)[trainer.optimizers.index(optimizer)]
        self.gradients.append((name, {k: p.grad.clone() for k, p in module.networks[name].named_parameters()}))


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_a_cycle_equals_the_convolutional_reference(weight, pooling):
    model = CryinGAN(
        CELL.tolist(), list(SPECIES), distance_weight=weight, pooling=pooling, **SIZES, generator_learning_rate=1e-3
    ).double()
    model.hparams.coordinate_learning_rate = model.hparams.distance_learning_rate = 1e-3
    batches = batches_of(random_crystals(30, SPECIES, CELL), 4 if weight else 0, 6)
    before = {n: {k: v.clone() for k, v in net.state_dict().items()} for n, net in model.networks.items()}
    recorder = Recorder()
    means = {}
    model.log_epoch = means.update
    quiet_trainer(precision="64-true", callbacks=[recorder]).fit(model, batches)

    model.__dict__["_trainer"] = None
    draws = torch.float64
    noises = [model.draw_normal(6, "critic noise", i, epoch=0) for i in range(5)]
    alphas = [
        {name: torch.rand(6, generator=model.source(f"interpolation of {name}", i, 0), dtype=draws) for name in before}
        for i in range(5)
    ]
    poolings = {"coordinates": "avg" if weight else pooling, "distances": pooling}
    reference = reference_cycle(
        before,
        torch.tensor(CELL),
        [4, 4, 2],
        [batch[..., :3] for batch in batches],
        noises,
        model.draw_normal(6, "generator noise", 0, epoch=0),
        alphas,
        weight,
        poolings,
        4,
        learning_rate=1e-3,
    )
    for name in ("critic_loss", "score_difference"):
        np.testing.assert_allclose(means[f"train/{name}"], np.mean(reference[name]), **EXACT)
    np.testing.assert_allclose(means["train/generator_loss"], reference["generator_loss"], **EXACT)

    discriminators = [name for name in before if name != "generator"]
    steps = [(name, gradients[name]) for gradients in reference["critic_gradients"] for name in discriminators]
    steps.insert(len(discriminators), ("generator", reference["generator_gradients"]))
    assert [name for name, _ in recorder.gradients] == [name for name, _ in steps]
    for (name, ours), (_, theirs) in zip(recorder.gradients, steps, strict=True):
        for key, gradient in ours.items():
            torch.testing.assert_close(gradient, theirs[key], **EXACT, msg=f"{name} {key}")
    for name, network in model.networks.items():
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, reference["states"][name][key], **EXACT, check_dtype=False)


@pytest.mark.parametrize(
    ("weight", "pooling", "overrides", "expected"),
    [
        (0.0, "max", {}, {"coordinates": "max"}),
        (0.05, "max", {}, {"coordinates": "avg", "distances": "max"}),
        (0.05, "avg", {"coordinate_pooling": "mix"}, {"coordinates": "mix", "distances": "avg"}),
        (0.05, "mix", {"distance_pooling": "max"}, {"coordinates": "avg", "distances": "max"}),
        (0.0, "max", {"coordinate_pooling": "avg"}, {"coordinates": "avg"}),
    ],
)
def test_which_discriminator_the_pooling_acts_on(weight, pooling, overrides, expected):
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=weight, pooling=pooling, **SIZES, **overrides)
    assert {name: d.pooling.value for name, d in model.discriminators.items()} == expected


def test_training_continues_when_every_atom_of_a_sample_coincides():
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.05, **SIZES)
    with torch.no_grad():
        model.generator.layers[-1].weight.zero_()
    batches = batches_of(random_crystals(12, SPECIES, CELL), 4, 6)
    batches.tensor = batches.tensor.float()
    quiet_trainer().fit(model, batches)
    assert all(p.isfinite().all() for p in model.parameters())
    assert model.generator.layers[-1].bias.abs().max() > 0


def test_sampling():
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.0, **SIZES)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    samples = model.sample(7, seed=3)
    assert len(samples) == 7
    assert samples.species == SPECIES
    assert samples.fractional.min() >= 0
    assert samples.fractional.max() < 1
    np.testing.assert_allclose(model.sample(7, seed=3, batch_size=2).fractional, samples.fractional, atol=1e-6)
    np.testing.assert_allclose(model.sample(1500, seed=3).fractional[:7], samples.fractional, atol=1e-6)
    assert not np.allclose(model.sample(7, seed=4).fractional, samples.fractional, atol=1e-6)
    assert model.generator.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_generator_that_fails_to_sample_is_trained_on_as_before():
    model = CryinGAN(CELL.tolist(), list(SPECIES), **SIZES)
    model.generator.layers = None
    with pytest.raises(TypeError):
        model.sample(7, seed=3)
    assert model.generator.training


def test_samples_have_their_species_where_the_file_has_them():
    """Atoms of the generator come in groups; atom i of the file is atom `inverse[i]` of the generator."""
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.0, **SIZES)
    grouped = Crystals(np.zeros((1, 10, 3)), CELL, SPECIES)
    order = [0, 2, 6, 8, 1, 4, 5, 9, 3, 7]
    assert [SPECIES[i] for i in order] == ["Li"] * 4 + ["O"] * 4 + ["Cl"] * 2
    assert grouped.grouping.tolist() == order
    marks = torch.linspace(-2, 2, 10)

    class Marked(torch.nn.Module):
        def forward(self, noise):
            return torch.sigmoid(marks)[None, :, None].expand(len(noise), 10, 3)

    model.generator = Marked()
    fractional = model.sample(1, seed=0).fractional[0, :, 0]
    np.testing.assert_allclose(fractional[order], torch.sigmoid(marks).numpy(), atol=1e-7)


def test_score_difference_of_equal_outputs_is_zero():
    outputs = torch.randn(4, 10, dtype=torch.float64)
    assert score_difference(outputs, outputs) == 0


@pytest.mark.parametrize("updates", [0, 1])
def test_means_of_a_checkpoint_from_before_a_quantity_was_logged(updates):
    """It has no mean in the epoch that was interrupted, and one in the next."""
    before, after = EpochMeans(["loss"]), EpochMeans(["loss", "norm"])
    for _ in range(updates):
        before.update(torch.tensor([1.0]), 2)
    after.load_state_dict(before.state_dict())
    after.update(torch.tensor([4.0, 7.0]), 1)
    assert after.compute() == ({"loss": 2.0} if updates else {"loss": 4.0, "norm": 7.0})
    after.reset()
    after.update(torch.tensor([4.0, 7.0]), 1)
    assert after.compute() == {"loss": 4.0, "norm": 7.0}
