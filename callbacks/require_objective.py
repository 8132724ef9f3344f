"""Refuse an objective that no epoch will have."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.logged_keys import require_logged
from cryingan.storage.fraction_keys import current_key


class RequireObjective(Callback):
    """Refuses, before the first epoch, a key that a sweep optimises and that is never logged. Logs nothing.

    Placed after the callbacks that log.

    Args:
        key: of metrics.csv, also by a former name.
    """

    def __init__(self, key: str) -> None:
        self.key = current_key(key)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare the key with those that are logged."""
        require_logged(trainer, pl_module, "objective", self.key)
