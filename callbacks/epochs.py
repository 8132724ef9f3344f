"""When callbacks that do not run every epoch are due."""

from lightning import Trainer


def due(trainer: Trainer, every_n_epochs: int) -> bool:
    """Whether the epoch that ends is one of every `every_n_epochs`, or the last."""
    done = trainer.current_epoch + 1
    return done % every_n_epochs == 0 or done == trainer.max_epochs or trainer.should_stop
