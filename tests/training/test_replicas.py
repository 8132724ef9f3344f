"""Steps of stacked models against the steps of each model alone."""

from functools import partial

import lightning
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.critic import critic_terms
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.networks import Discriminator, Generator
from cryingan.training import cuda_graphs as capture
from cryingan.training.lockstep import Lockstep, Member, Replica
from cryingan.training.replicas import StackedAdam, stacked
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of
from tests.support.recording import on_the_spot

pytestmark = pytest.mark.filterwarnings("error:.*lr_scheduler.step")
FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}
FLOAT32 = 1e-4  # of a norm; one step in float32 is within 2e-6 of float64


def model_of(kind, number, weight, pooling="avg", dtype=torch.float64, critic_rate=1e-3, **changes):
    rates = {"generator_learning_rate": 1e-3}
    rates |= {f"{name}_learning_rate": critic_rate for name in ("coordinate", "distance")}
    settings = {**SIZES, **rates, "generator_interval": 2, "seed": number, "ema": 0.9, **changes}
    model = kind(CELL.tolist(), list(SPECIES), distance_weight=weight, pooling=pooling, **settings).to(dtype)
    model.translated, model.on_fit_start = (0, 2), lambda: None  # as a data module would have it
    return model


def training(model, structures=20, epochs=1, precision="64-true"):
    """A trainer and what it trains on: batches of 6 and a ragged last one, in an order of the model's own."""
    loader = batches_of(random_crystals(structures, SPECIES, CELL), 4 * ("distances" in model.weights), 6)
    loader.seed, loader.shuffle, loader.tensor = model.hparams.seed, True, loader.tensor.to(model.dtype)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=epochs, precision=precision, **off)
    return partial(trainer.fit, model, loader)


def run_all(trainings):
    members = [Member(model, fit, str(number)) for number, (model, fit) in enumerate(trainings.items())]
    Lockstep(report=lambda member: None).run(members)
    for member in members:
        if member.error is not None:
            raise member.error


def train_in_lockstep(models, **settings):
    run_all({model: training(model, **settings) for model in models})


def recorded(model):
    """Where the means of an epoch go to."""
    means = {}
    model.log_epoch = means.update
    return means


def assert_same_training(one, other, tolerance):
    torch.testing.assert_close(one.state_dict(), other.state_dict(), **tolerance)


def first_moments(model):
    """Adam's means of the gradients of every network."""
    states = [optimizer.optimizer.state.values() for optimizer in model.optimizers()]
    return [torch.cat([state["exp_avg"].flatten() for state in each]) for each in states]


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("weights", [(0.0,), (0.0, 0.0), (0.05, 0.2), (0.05, 0.05, 0.01)])
def test_models_trained_together_equal_each_trained_alone(weights, pooling):
    models = [model_of(Replica, number, weight, pooling) for number, weight in enumerate(weights)]
    means = [recorded(model) for model in models]
    train_in_lockstep(models)
    for number, weight in enumerate(weights):
        alone = model_of(CryinGAN, number, weight, pooling)
        expected = recorded(alone)
        training(alone)()
        assert_same_training(models[number], alone, FLOAT64)
        assert means[number] == pytest.approx(expected, rel=1e-10, abs=1e-10)
        for one, other in zip(models[number].optimizers(), alone.optimizers(), strict=True):
            torch.testing.assert_close(one.optimizer.state_dict(), other.optimizer.state_dict(), **FLOAT64)


def from_linear(kind, number):
    """A model whose start has components; they need not be those of what it is trained on."""
    model = model_of(kind, number, 0.05, warm_start="linear", sites=True)
    components = model.start.components
    noise = torch.Generator().manual_seed(0)
    components.sites = torch.rand(len(SPECIES), 3, generator=noise, dtype=torch.float64)
    components.modes = 0.1 * torch.randn(SIZES["latent_dim"], len(SPECIES), 3, generator=noise, dtype=torch.float64)
    components.codes = torch.randn(20, SIZES["latent_dim"], generator=noise, dtype=torch.float64)
    return model


def test_models_from_the_linear_model_equal_each_trained_alone():
    models = [from_linear(Replica, number) for number in range(3)]
    train_in_lockstep(models)
    for number, model in enumerate(models):
        alone = from_linear(CryinGAN, number)
        training(alone)()
        assert_same_training(model, alone, FLOAT64)
        assert alone.generator.layers[-1].weight.any()  # it was at rest


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
def test_in_single_precision_their_gradients_are_equal_within_rounding(pooling):
    """Those of one step of every network, with critics that hardly move before the generator's step.

    More steps would show the rounding of the processor, not the stack: where a gradient is nothing but rounding, Adam
    makes a whole learning rate of it, of either sign.
    """
    single = {"pooling": pooling, "dtype": torch.float32, "critic_rate": 1e-9}
    models = [model_of(Replica, number, 0.05, **single) for number in range(3)]
    means = [recorded(model) for model in models]
    train_in_lockstep(models, structures=6, precision="32-true")
    for number, model in enumerate(models):
        alone = model_of(CryinGAN, number, 0.05, **single)
        expected = recorded(alone)
        training(alone, structures=6, precision="32-true")()
        assert means[number] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        for found, wanted in zip(first_moments(model), first_moments(alone), strict=True):
            assert (found - wanted).norm() < FLOAT32 * wanted.norm()


def test_models_of_several_lengths_of_training_continue_without_those_that_have_ended():
    models = [model_of(Replica, number, 0.05) for number in range(3)]
    epochs = [1, 3, 2]
    run_all({model: training(model, epochs=n) for model, n in zip(models, epochs, strict=True)})
    for number, model in enumerate(models):
        alone = model_of(CryinGAN, number, 0.05)
        training(alone, epochs=epochs[number])()
        assert_same_training(model, alone, FLOAT64)


@pytest.mark.parametrize("steps", [(0, 1), (2, 1)])
def test_models_after_different_numbers_of_steps_are_refused(steps):
    networks = [Generator(5, 4, 3, (6, 7, 8)) for _ in steps]
    optimizers = [torch.optim.Adam(network.parameters(), fused=True) for network in networks]
    for network, optimizer, count in zip(networks, optimizers, steps, strict=True):
        for _ in range(count):
            network(torch.randn(3, 4)).sum().backward()
            optimizer.step()
    with pytest.raises(CryinGANError, match="different numbers of steps"):
        StackedAdam(stacked(networks), optimizers)


@pytest.mark.filterwarnings("ignore:.*came with capturable")
def test_recorded_steps_of_stacked_models_equal_those_that_are_run(tmp_path, monkeypatch):
    """The second model catches up alone, runs in the stack, and is alone at last, each time with new recordings."""
    monkeypatch.setattr(capture, "WARM_UP", 1)
    trained = []
    for recorder in (None, on_the_spot):
        models = [model_of(Replica, number, 0.05) for number in range(2)]
        for model in models:
            model.hparams.schedule_epochs = 3
            model.run_step = capture.Replay(recorder) if recorder else model.run_step
        first = training(models[0], epochs=2)
        run_all({models[0]: first})
        first.func.__self__.save_checkpoint(tmp_path / "first.ckpt")
        longer = partial(training(models[0], epochs=4), ckpt_path=tmp_path / "first.ckpt")
        run_all({models[0]: longer, models[1]: training(models[1], epochs=6)})
        trained.append(models)
    for plain, replayed in zip(*trained, strict=True):
        assert_same_training(plain, replayed, {"rtol": 1e-4, "atol": 1e-6})  # the learning rates are float32 tensors
    assert sum(models[1].run_step.runs.values()) == 2 * (4 + 2)  # 4 batches and 2 steps of the generator per epoch


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize(("networks", "sites"), [(1, False), (2, True), (3, False)])
def test_terms_and_gradients_of_stacked_discriminators(networks, sites, pooling):
    torch.manual_seed(0)
    shape = {
        "counts": (3, 1, 4),
        "pooling": pooling,
        "widths": (9, 8, 7),
        "head": (11, 5),
        "outputs": 3,
        "sites": sites,
    }
    each = [Discriminator(6, **shape).double() for _ in range(networks)]
    copies = [Discriminator(6, **shape).double() for _ in range(networks)]
    if sites:
        for one in each:
            torch.nn.init.normal_(one.per_atom[0].bias)
    for one, copy in zip(each, copies, strict=True):
        copy.load_state_dict(one.state_dict())
    real, fake = torch.randn(2, networks, 5, 8, 6, dtype=torch.float64)
    alpha, scale = torch.rand(networks, 5).double(), torch.arange(1.0, networks + 1).double()
    whole = stacked(copies)
    terms = critic_terms(whole, real, fake, alpha, weight=2.5)
    (scale * terms.loss).sum().backward()
    torch.testing.assert_close(whole(real), torch.stack([d(x) for d, x in zip(each, real, strict=True)]), **FLOAT64)
    for number, one in enumerate(each):
        expected = critic_terms(one, real[number], fake[number], alpha[number], weight=2.5)
        (scale[number] * expected.loss).backward()
        torch.testing.assert_close([term[number] for term in terms], list(expected), **FLOAT64)
        for stack, parameter in zip(whole.parameters(), one.parameters(), strict=True):
            torch.testing.assert_close(stack.grad[number], parameter.grad, **FLOAT64)


def test_stacked_generators_have_their_own_statistics_and_gradients():
    torch.manual_seed(0)
    each = [Generator(5, 4, 3, (6, 7, 8)).double() for _ in range(3)]
    copies = [Generator(5, 4, 3, (6, 7, 8)).double() for _ in range(3)]
    for one, copy in zip(each, copies, strict=True):
        copy.load_state_dict(one.state_dict())
    whole = stacked(copies)
    noise, direction = torch.randn(3, 9, 4).double(), torch.randn(3, 9, 5, 3).double()
    (whole(noise) * direction).sum().backward()
    for number, one in enumerate(each):
        (one(noise[number]) * direction[number]).sum().backward()
        for stack, parameter in zip(whole.parameters(), one.parameters(), strict=True):
            torch.testing.assert_close(stack.grad[number], parameter.grad, **FLOAT64)
        torch.testing.assert_close(copies[number].state_dict(), one.state_dict(), **FLOAT64)


def test_stacked_generators_are_not_evaluated():
    whole = stacked([Generator(5, 4, 3, (6, 7, 8)) for _ in range(2)]).eval()
    with pytest.raises(RuntimeError, match="evaluate each network by itself"):
        whole(torch.randn(2, 9, 4))


def test_a_model_among_others_sees_what_is_changed_in_the_stack():
    networks = [Generator(5, 4, 3, (6, 7, 8)) for _ in range(2)]
    whole = stacked(networks)
    with torch.no_grad():
        whole.latent.bias[1] = 7.0
        networks[0].latent.bias.fill_(3.0)
    assert (networks[1].latent.bias == 7).all()
    assert (whole.latent.bias[0] == 3).all()
