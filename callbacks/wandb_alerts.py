"""Alerts of Weights & Biases."""

from __future__ import annotations

import math
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.wandb_run import wandb_runs
from cryingan.errors import TrainingDiverged

KEYS = ("samples/coverage", "relax/coverage")
NEAR_ZERO = 0.02
LEARNT = 0.1  # coverage that a generator which has not learnt yet does not reach


class WandbAlerts(Callback):
    """Sends an alert to W&B when a training diverges, and one when its samples collapse.

    Samples collapse when they cover at most 2 % of the training structures, raw or relaxed, after they covered 10 % or
    in the second half of the training: early on, a generator that has not learnt yet covers none either. A run has one
    such alert, also when it is resumed. Without a W&B logger this does nothing. Logs nothing.
    """

    def __init__(self) -> None:
        self.highest = 0.0
        self.collapsed = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the newest coverages."""
        found = {key: float(trainer.callback_metrics.get(key, math.nan)) for key in KEYS}
        late = 2 * (trainer.current_epoch + 1) > trainer.max_epochs
        self.highest = max([self.highest, *(value for value in found.values() if value >= LEARNT)])
        low = [f"{key} = {value:g}" for key, value in found.items() if value <= NEAR_ZERO]
        if low and not self.collapsed and (late or self.highest):
            self.collapsed = True
            before = f"; it was {self.highest:.2g}" if self.highest else ""
            text = f"{' and '.join(low)} after {trainer.current_epoch + 1} epochs{before}: samples are like few or none"
            _send(trainer, "samples collapsed", f"{text} of the training structures", "WARN")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Tell of a training that diverged."""
        if isinstance(exception, TrainingDiverged):
            _send(trainer, "training diverged", str(exception), "ERROR")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run knows."""
        return {"highest": self.highest, "collapsed": self.collapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.highest, self.collapsed = state_dict["highest"], state_dict["collapsed"]


def _send(trainer: Trainer, title: str, text: str, level: str) -> None:
    for run in wandb_runs(trainer):
        run.alert(f"{run.name}: {title}", text, level=level)
