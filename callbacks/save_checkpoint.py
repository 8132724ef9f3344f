"""Checkpoints at the end of epochs."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.epochs import due


class SaveCheckpoint(Checkpoint):
    """Writes `checkpoints/<name>.ckpt` in the run folder, after everything of the epoch has been logged.

    Logs nothing. `cryingan.training.checkpoints.AtomicCheckpointIO` writes the file, whole or not at all.

    Args:
        name: name of the file; `{epoch}` is the number of finished epochs. Without it one file is replaced.
        every_n_epochs: epochs between checkpoints; the last epoch always writes one.
    """

    def __init__(self, name: str, every_n_epochs: int) -> None:
        self.name = name
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save."""
        if due(trainer, self.every_n_epochs):
            name = self.name.format(epoch=trainer.current_epoch + 1)
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / f"{name}.ckpt")
