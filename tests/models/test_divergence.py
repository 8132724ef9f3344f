"""A model of a user's own stops at the first loss or gradient that is not finite, before a weight changes."""

from typing import ClassVar

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import open_dict

from cryingan.errors import TrainingDiverged
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import random_crystals
from tests.support.models import CELL, SPECIES, batches_of, quiet_trainer
from tests.support.own_classes import Scatter
from train import train


class Poison(Callback):
    """One structure of batch 1 of the second epoch is not finite."""

    before: ClassVar[list[torch.Tensor]] = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 1):
            self.before.append(module.places.detach().clone())
            batch[0, 0, 0] = float("nan")

    def on_exception(self, trainer, module, exception):
        self.before.append(module.places.detach().clone())


def test_automatic_optimisation_stops_before_a_step_and_writes_no_checkpoint(tiny, tmp_path):
    Poison.before.clear()
    config = tiny("+callbacks.poison={_target_: tests.models.test_divergence.Poison}")
    with open_dict(config):
        config.model = {"_target_": "tests.support.own_classes.Scatter", "ema": 0.9}
    with pytest.raises(
        TrainingDiverged, match=r"^loss not finite in epoch 1, batch 1: no weight was changed"
    ) as caught:
        train(config)
    assert "\n" not in str(caught.value)
    assert torch.equal(*Poison.before)
    assert not Poison.before[0].isnan().any()
    assert {path.stem for path in tmp_path.glob("run/checkpoints/*.ckpt")} == {"last", "best"}
    assert all(read_checkpoint(path)["epoch"] == 0 for path in tmp_path.glob("run/checkpoints/*.ckpt"))


class FlatRoot(Scatter):
    """A loss of 0 whose gradient is not finite."""

    def training_step(self, batch, batch_idx):
        return (self.places - self.places.detach()).abs().sqrt().sum()


class InTurn(FlatRoot):
    """The same with manual optimisation."""

    def build(self, settings):
        super().build(settings)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.manual_backward(super().training_step(batch, batch_idx))
        self.optimizers().step()


@pytest.mark.parametrize("kind", [FlatRoot, InTurn])
def test_a_gradient_that_is_not_finite_changes_no_weight(kind, tmp_path):
    model, trainer = kind(CELL.tolist(), list(SPECIES)), quiet_trainer()
    before = model.places.detach().clone()
    with pytest.raises(TrainingDiverged, match="gradient_norm not finite in epoch 0, batch 0"):
        trainer.fit(model, batches_of(random_crystals(8, SPECIES, CELL), 0, 4))
    assert torch.equal(model.places, before)
