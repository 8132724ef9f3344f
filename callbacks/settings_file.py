"""config.yaml: the settings of a run, in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from omegaconf import OmegaConf

from cryingan.storage.atomic import replace_file


class SettingsFile(Callback):
    """Writes config.yaml when training starts, and gives the settings to every logger.

    Placed last, it keeps the old config.yaml where another callback refuses the start.

    Args:
        settings: all settings, plain values.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the settings to the loggers."""
        for logger in trainer.loggers:
            logger.log_hyperparams(self.settings)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        if trainer.is_global_zero:
            with replace_file(Path(trainer.default_root_dir) / "config.yaml") as file:
                file.write(OmegaConf.to_yaml(OmegaConf.create(self.settings)).encode())
