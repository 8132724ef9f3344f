"""Stop after the epoch in which the queue has announced the end of the job."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cryingan.training.end_of_job import END_OF_JOB


class FinishEpoch(Callback):
    """Stops training after the epoch in which one of its processes got SIGUSR1 or SIGUSR2. Logs nothing.

    Placed before the callbacks that save, so that the last epoch of the job is one of those that they save.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide, together with all processes."""
        if trainer.strategy.reduce_boolean_decision(END_OF_JOB.announced, all=False):
            trainer.should_stop = True
            END_OF_JOB.stopped |= trainer.current_epoch + 1 < trainer.max_epochs
