"""What callbacks share: the names of epochs, when one is due, and the parts of a trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from lightning import Trainer

from cryingan.errors import CryinGANError

UNTRAINED = -1
"""The state before training, counted as the epoch before the first (epochs count from 0)."""

Part = TypeVar("Part")


def epoch_name(epoch: int) -> str:
    """Name of the files of an epoch, by the number of finished epochs: `epoch_000001` of epoch 0."""
    return f"epoch_{epoch + 1:06d}"


def epoch_of(path: Path) -> int:
    """The epoch whose name (`epoch_name`) a file or folder has."""
    return int(path.stem.removeprefix("epoch_")) - 1


def epoch_title(epoch: int) -> str:
    """An epoch in messages, by the number of finished epochs: `epoch 1` of epoch 0."""
    return "before training" if epoch == UNTRAINED else f"epoch {epoch + 1}"


def due(trainer: Trainer, every_n_epochs: int) -> bool:
    """Whether the epoch that ends is one of every `every_n_epochs`, or the last."""
    if every_n_epochs < 1:
        raise CryinGANError(f"every_n_epochs={every_n_epochs}: it must be at least 1")
    done = trainer.current_epoch + 1
    return done % every_n_epochs == 0 or done == trainer.max_epochs or trainer.should_stop


def find(trainer: Trainer, kind: type[Part]) -> Part | None:
    """The first callback or logger of a class; None where there is none."""
    return next((part for part in [*trainer.callbacks, *trainer.loggers] if isinstance(part, kind)), None)


def log(trainer: Trainer, values: Mapping[str, float], epoch: int) -> None:
    """Send values of an epoch to every logger, and all but times to the values that the training returns."""
    lasting = {name: torch.tensor(value) for name, value in values.items() if not name.startswith("time/")}
    trainer.callback_metrics.update(lasting)
    for logger in trainer.loggers:
        logger.log_metrics({**values, "epoch": epoch}, step=trainer.global_step)
