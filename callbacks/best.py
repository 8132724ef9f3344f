"""The checkpoint whose samples are best."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.metrics_csv import MetricsCSV
from callbacks.timing import due
from cryingan.checkpoints import read_checkpoint


class KeepBest(Checkpoint):
    """Keeps `checkpoints/best.ckpt` in the run folder: of the epoch with the highest value of one key of metrics.csv.

    The value may become known long after the weights: until then the epoch's checkpoint waits as
    `checkpoints/candidates/epoch_<done>.ckpt`. Of equal epochs the first is kept. Logs nothing.

    Args:
        key: what is compared; fractions of relaxed samples tell quality, the Wasserstein distance does not.
        every_n_epochs: epochs between candidates: how often the key is measured.
    """

    def __init__(self, key: str = "relax/fraction_below_0", every_n_epochs: int = 1000) -> None:
        self.key, self.every_n_epochs = key, every_n_epochs
        self.highest: float | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the best so far."""
        self._prepare(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a candidate, and compare those whose value is known by now."""
        if due(trainer, self.every_n_epochs):
            name = f"epoch_{trainer.current_epoch + 1:06d}.ckpt"
            trainer.save_checkpoint(_folder(trainer) / "candidates" / name)
        self._compare(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare those that training waited for."""
        self._compare(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same for a run whose training was over already."""
        if self.highest is None:
            self._prepare(trainer)
            self._compare(trainer)

    def _prepare(self, trainer: Trainer) -> None:
        """How good the best is; its value is unknown when its epoch is about to be trained again."""
        self.highest = float("-inf")
        self.metrics = next(logger for logger in trainer.loggers if isinstance(logger, MetricsCSV))
        best = _folder(trainer) / "best.ckpt"
        if trainer.is_global_zero and best.exists():
            self.metrics.begin(trainer.current_epoch)
            value = self.metrics.value(read_checkpoint(best)["epoch"], self.key)
            self.highest = self.highest if value is None else value

    def _compare(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            return
        folder = _folder(trainer)
        for path in sorted((folder / "candidates").glob("*.ckpt")):
            value = self.metrics.value(int(path.stem.removeprefix("epoch_")) - 1, self.key)
            if value is None:
                continue
            if value > self.highest:
                self.highest = value
                path.replace(folder / "best.ckpt")
            else:
                path.unlink()


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"
