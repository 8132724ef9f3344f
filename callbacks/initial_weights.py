"""Where the weights of a fine-tuned run come from."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cryingan.training.initial_weights import INIT


class InitialWeights(Callback):
    """Keeps the origin of a run's first weights in its checkpoints. Logs nothing.

    Args:
        origin: as `cryingan.training.initial_weights.load_initial_weights` returns it.
    """

    def __init__(self, origin: dict[str, str]) -> None:
        self.origin = origin

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save it."""
        checkpoint[INIT] = self.origin
