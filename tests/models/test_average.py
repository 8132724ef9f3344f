"""`ema` in the settings of a model of a user's own: averages by hand, samples, validation, resumed runs."""

import csv

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import open_dict

from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from tests.conftest import random_crystals
from tests.support.models import CELL, SPECIES, batches_of, quiet_trainer
from tests.support.own_classes import Scatter
from train import train

NODE = {"_target_": "tests.support.own_classes.Scatter", "ema": 0.9, "seed": "${seed}"}


class Places(Callback):
    """The weights after every step."""

    def __init__(self):
        self.history = []

    def on_train_batch_end(self, trainer, module, *_):
        self.history.append(module.places.detach().clone())


class TwoNetworks(Scatter):
    """Optimises two networks in turn, of which one is averaged."""

    averages = "first"

    def build(self, settings):
        super().build(settings)
        self.automatic_optimization = False
        self.first, self.second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

    def configure_optimizers(self):
        return [torch.optim.SGD(network.parameters(), lr=0.1) for network in (self.first, self.second)]

    def training_step(self, batch, batch_idx):
        for network, optimizer in zip((self.first, self.second), self.optimizers(), strict=True):
            optimizer.zero_grad()
            self.manual_backward((network(batch[..., :1]) - 1).square().mean())
            optimizer.step()

    def validation_step(self, batch, batch_idx):
        """None."""


def trained(model, *callbacks):
    """The model after 2 epochs of 7 batches, in double precision, with a validation after each."""
    trainer = quiet_trainer(precision="64-true", callbacks=list(callbacks), num_sanity_val_steps=0)
    trainer.fit_loop.max_epochs = 2
    batches = batches_of(random_crystals(40, SPECIES, CELL), 0, 6)
    trainer.fit(model, batches, batches_of(random_crystals(6, SPECIES, CELL, seed=1), 0, 6))
    return model


def average_of(history, decay):
    average = history[0]
    for step in history[1:]:
        average = decay * average + (1 - decay) * step
    return average


def test_samples_and_validation_are_those_of_the_average_by_hand():
    places, plain = Places(), Places()
    model = trained(Scatter(CELL.tolist(), list(SPECIES), ema=0.9), places)
    expected = average_of(places.history, 0.9)
    assert len(places.history) == 14
    assert (expected - places.history[-1]).abs().max() > 1e-3
    torch.testing.assert_close(model.validated[0], expected, rtol=1e-12, atol=1e-14)
    assert torch.equal(model.places, places.history[-1])
    model.places.requires_grad_(False)
    found = model.sample(2, seed=1)
    other = trained(Scatter(CELL.tolist(), list(SPECIES)), plain)
    assert all(map(torch.equal, plain.history, places.history))  # training is the same with and without
    other.places.data = expected
    torch.testing.assert_close(torch.tensor(found.fractional), torch.tensor(other.sample(2, seed=1).fractional))
    assert torch.equal(model.places, places.history[-1])


def test_only_steps_of_what_is_averaged_are_followed():
    model = trained(TwoNetworks(CELL.tolist(), list(SPECIES), ema=0.5))
    assert model.averaged.n_averaged == 14
    assert {name for name in model.state_dict() if name.startswith("averaged")} == {
        "averaged.n_averaged",
        "averaged.module.weight",
        "averaged.module.bias",
    }


def test_an_exception_in_a_validation_leaves_the_trained_weights():
    class Broken(Scatter):
        def validation_step(self, batch, batch_idx):
            if self.current_epoch == 1:
                raise OSError("no more")

    places, model = Places(), Broken(CELL.tolist(), list(SPECIES), ema=0.9)
    with pytest.raises(OSError, match="no more"):
        trained(model, places)
    assert torch.equal(model.places, places.history[-1])


def own(config, **changes):
    with open_dict(config):
        config.model = {**NODE, **changes}
    return config


def test_a_resumed_run_ends_bit_for_bit_as_one_without_a_stop(tiny, tmp_path):
    train(own(tiny(f"run_dir={tmp_path / 'whole'}")))
    for epochs in (1, 3, 4):
        train(own(tiny(f"run_dir={tmp_path / 'parts'}", f"trainer.max_epochs={epochs}")))
    whole, parts = (read_checkpoint(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "parts"))
    assert whole["state_dict"]["averaged.n_averaged"] == whole["global_step"] > 0
    assert all(torch.equal(value, parts["state_dict"][name]) for name, value in whole["state_dict"].items())
    tables = [list(csv.DictReader((tmp_path / run / "metrics.csv").open())) for run in ("whole", "parts")]
    for table in tables:
        for row in table:
            row.pop("time/steps_per_second", None)
    assert tables[0] == tables[1]
    assert (
        load_model(tmp_path / "whole", Scatter)
        .sample(2, seed=1)
        .same_as(load_model(tmp_path / "parts", Scatter).sample(2, seed=1))
    )
    assert (tmp_path / "whole/checkpoints/best.ckpt").exists()
    with pytest.raises(CryinGANError, match=r"model.ema is 0.0 here and 0.9 in the checkpoint"):
        train(own(tiny(f"run_dir={tmp_path / 'whole'}"), ema=0.0))
    train(own(tiny(f"run_dir={tmp_path / 'tuned'}", f"init={tmp_path / 'whole'}", "trainer.max_epochs=1"), ema=0.0))
    tuned = read_checkpoint(tmp_path / "tuned/checkpoints/last.ckpt")["state_dict"]
    assert list(tuned) == ["places"]


@pytest.mark.parametrize(
    ("key", "value", "said"), [("ema", 1.0, "model.ema=1.0: it must"), ("seed", -1, "seed=-1: it")]
)
def test_values_out_of_range_are_refused_for_any_model(key, value, said):
    with pytest.raises(CryinGANError, match=said):
        Scatter(CELL.tolist(), list(SPECIES), **{key: value})


class LateNetwork(Scatter):
    """Makes a network after the base class has made the average."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.late = torch.nn.Linear(1, 1)


def test_weights_that_no_average_follows_are_refused():
    with pytest.raises(CryinGANError, match="LateNetwork has weights that were not made in `build`"):
        trained(LateNetwork(CELL.tolist(), list(SPECIES), ema=0.9))
    trained(LateNetwork(CELL.tolist(), list(SPECIES)))
