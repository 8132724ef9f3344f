"""A limit on the time of one job."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer


class TimeLimit(Timer):
    """Stops training after the epoch in which the time runs out; a resumed run has the whole time again.

    Lightning's `max_time` stops within an epoch and counts the time of earlier jobs.

    Args:
        duration: DD:HH:MM:SS.
    """

    def __init__(self, duration: str) -> None:
        super().__init__(duration, interval="epoch", verbose=False)
        self.duration, self.ended = duration, False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide whether this epoch is the last."""
        stopped = trainer.should_stop
        super().on_train_epoch_end(trainer)
        self.ended = trainer.should_stop and not stopped and trainer.current_epoch + 1 < trainer.max_epochs

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report that the limit ended the training."""
        if self.ended and trainer.is_global_zero:
            after = f"after epoch {trainer.current_epoch} of {trainer.max_epochs}"
            print(f"trainer.max_time={self.duration} ended the training {after}; the same command resumes", flush=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignore the time of earlier jobs."""
