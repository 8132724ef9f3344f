"""The schedule of a training and the errors of every epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cryingan.errors import CryinGANError

QUANTITIES = {"energy_mae": "Energy_MAE", "force_mae": "Force_MAE", "stress_mae": "Stress_MAE"}  # ours, matgl's


class DivergedError(CryinGANError):
    """The loss of a training is no longer finite."""


@dataclass(frozen=True)
class Schedule:
    """Settings that may differ between two trainings on the same frames.

    Attributes:
        learning_rate: highest rate; it rises over the first steps and then falls along a cosine.
        batch_size: structures per step.
        epochs: passes over the training frames.
        weights: weights in the loss of the mean absolute errors of energies (eV/atom), forces (eV/Angstrom) and
            stresses (GPa).
        seed: seed of the order of the frames.
    """

    learning_rate: float
    batch_size: int
    epochs: int
    weights: tuple[float, float, float]
    seed: int


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        schedule: how it was done.
        rows: one per epoch: `epoch` (from 1), `seconds`, `learning_rate`, and errors of both sets as
            `training/energy_mae` (eV/atom), `validation/force_mae` (eV/Angstrom), `.../stress_mae` (GPa, if there are
            labels) and `.../loss`.
        state: weights of the epoch with the lowest validation loss.
        diverged: whether its loss became infinite or NaN.
    """

    schedule: Schedule
    rows: list[dict[str, float]]
    state: Mapping[str, torch.Tensor]
    diverged: bool = False

    @property
    def best(self) -> dict[str, float] | None:
        """The row of the epoch with the lowest validation loss; None without any."""
        return min(self.rows, key=lambda row: row["validation/loss"], default=None)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.diverged or len(self.rows) == self.schedule.epochs


class Record(Callback):
    """Records the errors of every epoch and the best weights, also in checkpoints.

    Args:
        weights: weights of the errors of energies, forces and stresses in the loss; the last is 0 without stresses.
        title: name of the training in the lines on stderr.
    """

    def __init__(self, weights: tuple[float, float, float], title: str) -> None:
        self.weights, self.title = weights, title
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.rate, self.started = trainer.optimizers[0].param_groups[0]["lr"], time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add a row and print the progress."""
        seconds = time.monotonic() - self.started
        row = {"epoch": len(self.rows) + 1, "seconds": seconds, "learning_rate": self.rate}
        for prefix, name in (("train", "training"), ("val", "validation")):
            row[f"{name}/loss"] = 0.0  # with full weights, unlike the loss that is minimised at first
            for (quantity, logged), weight in zip(QUANTITIES.items(), self.weights, strict=True):
                if weight > 0 or quantity != "stress_mae":
                    row[f"{name}/{quantity}"] = float(trainer.callback_metrics[f"{prefix}_{logged}"])
                    row[f"{name}/loss"] += weight * row[f"{name}/{quantity}"]
        self.rows.append(row)
        if not math.isfinite(row["validation/loss"]):
            raise DivergedError(f"the validation loss is not a number after epoch {row['epoch']}")
        if row["validation/loss"] == min(one["validation/loss"] for one in self.rows):
            self.best = {key: value.detach().cpu().clone() for key, value in pl_module.model.state_dict().items()}
        self._report(row, trainer.max_epochs)

    def _report(self, row: Mapping[str, float], epochs: int) -> None:
        mean = sum(one["seconds"] for one in self.rows) / len(self.rows)
        left = timedelta(seconds=round(mean * (epochs - row["epoch"])))
        energy, force = row["validation/energy_mae"] * 1000, row["validation/force_mae"] * 1000
        errors = f"validation errors {energy:.2f} meV/atom, {force:.1f} meV/Angstrom"
        print(f"{self.title}: epoch {row['epoch']} of {epochs}, {errors}, {left} left", file=sys.stderr, flush=True)

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows and the best weights."""
        self.rows, self.best = state_dict["rows"], state_dict["best"]


def in_plain_values(trained: Trained) -> dict[str, Any]:
    """Schedule, rows and best row, for a JSON file."""
    return {**asdict(trained.schedule), "diverged": trained.diverged, "best": trained.best, "rows": trained.rows}
