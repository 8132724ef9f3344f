"""Weights & Biases: one run per run folder, online or offline, continued when the training is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger

from cryingan.checkpoints import read_checkpoint
from cryingan.files import make_folder

RUN_ID = "wandb_run_id"


class WandbRun(Callback):
    """Keeps the id of the W&B run in the checkpoint and the config in the run; plots everything against the epoch.

    Logs nothing itself. Does nothing where no W&B logger is used.

    Args:
        config: the whole config as plain values, shown as the run's config.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    @staticmethod
    def saved_id(checkpoint: str | Path | None) -> str | None:
        """The id of the run that a checkpoint belongs to, where it has one."""
        return read_checkpoint(checkpoint).get(RUN_ID) if checkpoint else None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the run, with epochs as the axis of all metrics."""
        for run in _runs(trainer):
            run.config.update(self.config, allow_val_change=True)
            run.define_metric("epoch")
            run.define_metric("*", step_metric="epoch")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember the run."""
        for run in _runs(trainer):
            checkpoint[RUN_ID] = run.id


class ClosingWandbLogger(WandbLogger):
    """Lightning's logger, which leaves its run open, with an end: the next run of a sweep is one of its own."""

    def close(self) -> None:
        """Write out and end the run."""
        if self._experiment is not None:
            self._experiment.finish()


def wandb_logger(save_dir: str, mode: str | None = None, **settings: Any) -> ClosingWandbLogger:
    """A logger for one run.

    Args:
        save_dir: the run folder; W&B keeps its files in `wandb/` there.
        mode: online or offline; None: what WANDB_MODE says, otherwise online when the user is logged in.
        settings: project, name, group, tags and id of the run.
    """
    make_folder(save_dir)
    mode = mode or os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    import wandb

    quiet = wandb.Settings(silent=mode == "offline")  # online, W&B says where to look
    return ClosingWandbLogger(save_dir=save_dir, mode=mode, settings=quiet, **settings)


def _logged_in() -> bool:
    import wandb

    return bool(wandb.setup().settings.api_key) or wandb.login(prompt=False)


def _runs(trainer: Trainer) -> list[Any]:
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, WandbLogger)]
