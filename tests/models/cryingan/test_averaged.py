"""The averaged generator (`model.ema`) against an average by hand."""

import copy
import csv

import pytest
import torch
from lightning.pytorch.callbacks import Callback

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.networks import BatchNorm
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from cryingan.training.initial_weights import load_initial_weights
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of, quiet_trainer
from train import train

RATES = {f"{name}_learning_rate": 3e-3 for name in ("generator", "coordinate", "distance")}


class Weights(Callback):
    """The generator's weights at the start and after every step of it."""

    def __init__(self):
        self.history = []

    def on_train_start(self, trainer, module):
        self.history.append([p.detach().clone() for p in module.generator.parameters()])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if batch_idx % module.hparams.generator_interval == 0:
            self.on_train_start(trainer, module)


def trained(ema, epochs=2, callbacks=()):
    """A model after 7 batches an epoch, 4 of which are followed by a step of the generator."""
    settings = {**SIZES, **RATES, "generator_interval": 2, "ema": ema}
    model = CryinGAN(CELL.tolist(), list(SPECIES), **settings).double()
    trainer = quiet_trainer(precision="64-true", callbacks=list(callbacks))
    trainer.fit_loop.max_epochs = epochs
    trainer.fit(model, batches_of(random_crystals(40, SPECIES, CELL), 4, 6))
    return model


def test_the_weights_are_the_average_over_the_steps_of_the_generator():
    weights = Weights()
    model = trained(0.9, callbacks=[weights])
    expected, *later = weights.history
    assert len(later) == 2 * 4
    for step in later:
        expected = [0.9 * average + 0.1 * one for average, one in zip(expected, step, strict=True)]
    torch.testing.assert_close(list(model.averaged.module.parameters()), expected, rtol=1e-12, atol=1e-14)


def test_training_is_the_same_with_and_without():
    plain, averaged = trained(0.0).state_dict(), trained(0.9).state_dict()
    assert all(torch.equal(value, averaged[name]) for name, value in plain.items())
    assert not any(name.startswith("averaged") for name in plain)


def test_samples_come_from_the_averaged_weights_with_statistics_of_their_own():
    """Those of many structures; the running statistics of the last steps would be off by ten times as much."""
    model = trained(0.95, epochs=10)
    exact = copy.deepcopy(model.averaged.module)
    for layer in exact.modules():
        if isinstance(layer, BatchNorm):
            layer.momentum = None
            layer.reset_running_stats()
    exact.train()(torch.randn(5000, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.averaged.module = exact
    last = copy.deepcopy(exact).eval()
    for own, of_last_step in zip(last.buffers(), model.generator.buffers(), strict=True):
        own.copy_(of_last_step)
    noise = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = exact.eval()(noise)
        error = (model.sampling_generator()(noise) - wanted).abs().mean()
        assert 5 * error < (last(noise) - wanted).abs().mean()
        assert 5 * error < (copy.deepcopy(model.generator).eval()(noise) - wanted).abs().mean()
    again = model.sample(300, seed=3)
    assert again.same_as(model.sample(300, seed=3))
    assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items() if "averaged" not in n)


def test_an_untrained_model_samples_from_its_generator():
    averaged, plain = (CryinGAN(CELL.tolist(), list(SPECIES), **SIZES, ema=ema) for ema in (0.9, 0.0))
    assert averaged.sample(3, seed=1).same_as(plain.sample(3, seed=1))


@pytest.mark.parametrize("ema", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(ema):
    with pytest.raises(CryinGANError, match=r"model.ema=\S+: it must be at least 0 and less than 1"):
        CryinGAN(CELL.tolist(), list(SPECIES), ema=ema)


def test_a_resumed_run_ends_bit_for_bit_as_one_without_a_stop(tiny, tmp_path):
    settings = ("model.ema=0.9", "model.generator_learning_rate=1e-3", "model.generator_interval=1")
    train(tiny(*settings, f"run_dir={tmp_path / 'whole'}"))
    for epochs in (1, 3, 4):
        train(tiny(*settings, f"run_dir={tmp_path / 'parts'}", f"trainer.max_epochs={epochs}"))
    whole, parts = (read_checkpoint(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "parts"))
    assert all(torch.equal(value, parts["state_dict"][name]) for name, value in whole["state_dict"].items())
    tables = [list(csv.DictReader((tmp_path / run / "metrics.csv").open())) for run in ("whole", "parts")]
    assert tables[0] == tables[1]
    moved = whole["state_dict"]["generator.latent.weight"] - whole["state_dict"]["averaged.module.latent.weight"]
    assert moved.abs().max() > 0
    with pytest.raises(CryinGANError, match=r"model.ema is 0.0 here and 0.9 in the checkpoint"):
        train(tiny(f"run_dir={tmp_path / 'whole'}"))


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.9), (0.9, 0.0), (0.9, 0.99)])
def test_a_run_starts_from_weights_with_or_without_an_average(before, after, tiny, tmp_path):
    train(tiny(f"model.ema={before}", "trainer.max_epochs=1", "~callbacks.quality", "~callbacks.structures"))
    source = load_model(tmp_path / "run")
    model = CryinGAN(**{**source.hparams, "ema": after, "seed": 9})
    load_initial_weights(model, str(tmp_path / "run"))
    assert torch.equal(model.generator.latent.weight, source.generator.latent.weight)
    expected = source if before and after else load_model(tmp_path / "run")
    if not (before and after):
        expected.averaged = None
    assert (model.sampling_generator().latent.weight == expected.sampling_generator().latent.weight).all()
