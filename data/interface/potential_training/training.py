"""One training of an M3GNet by matgl and Lightning, resumed after the last finished epoch."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from matgl.utils.training import PotentialLightningModule
from torch.optim.lr_scheduler import OneCycleLR
from torch_geometric.data import Data

from callbacks.save_checkpoint import SaveCheckpoint
from callbacks.time_limit import TimeLimit
from cryingan.training.checkpoints import AtomicCheckpointIO, newest_checkpoint
from data.interface.potential_training.graphs import GraphLoader
from data.interface.potential_training.model import Student
from data.interface.potential_training.record import DivergedError, Record, Schedule, Trained

WARM_UP = 0.05  # of all steps
# At first a model knows only the mean of the energies of one composition. Their noise then hides the forces, and an
# M3GNet may learn nothing in thousands of steps.
FORCES_ALONE, ENERGIES_IN_FULL = 0.05, 0.3  # of all steps


class PotentialTraining(PotentialLightningModule):
    """matgl's training of a potential, with a learning rate and a weight of the energies that change every step."""

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, and a rate that rises over the first steps and then falls along a cosine to almost nothing."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = OneCycleLR(optimizer, self.lr, steps, pct_start=WARM_UP, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor:
        """The loss of a batch.

        Raises:
            DivergedError: it is not a number.
        """
        full, done = self.energy_weight, self.global_step / self.trainer.estimated_stepping_batches
        self.energy_weight = full * min(max((done - FORCES_ALONE) / (ENERGIES_IN_FULL - FORCES_ALONE), 0.0), 1.0)
        loss = super().training_step(batch, batch_idx)["loss"]
        self.energy_weight = full
        if not torch.isfinite(loss):
            raise DivergedError(f"training diverged in epoch {self.current_epoch + 1}: lower learning_rate={self.lr:g}")
        return loss


def fit(
    student: Student,
    graphs: Mapping[str, Sequence[Data]],
    schedule: Schedule,
    folder: Path,
    *,
    device: str,
    time_limit: timedelta | None,
    title: str,
) -> Trained:
    """Train, or resume a training.

    Args:
        student: model to train; its weights change.
        graphs: graphs of the sets `training` and `validation`.
        schedule: learning rate, batch size, epochs, weights and seed.
        folder: folder of the state of this training alone.
        device: torch device.
        time_limit: training stops at the end of the epoch in which it runs out.
        title: name of the training in the lines on stderr.

    Raises:
        CryinGANError: the folder cannot be used.
    """
    energy, force, stress = schedule.weights
    student.model.train().requires_grad_(True)
    module = PotentialTraining(
        student.model,
        element_refs=student.offsets,
        include_line_graph=True,
        energy_weight=energy,
        force_weight=force,
        stress_weight=stress,
        data_mean=student.shift,
        data_std=student.scale,
        loss="l1_loss",
        lr=schedule.learning_rate,
    )
    loaders = [
        GraphLoader(graphs[name], student.model.threebody_cutoff, schedule.batch_size, schedule.seed, shuffle)
        for name, shuffle in (("training", True), ("validation", False))
    ]
    record = Record(schedule.weights, title)
    trainer = _trainer(schedule.epochs, folder, device, time_limit, record)
    diverged = False
    try:
        trainer.fit(module, *loaders, ckpt_path=newest_checkpoint(folder / "checkpoints"), weights_only=True)
    except SystemExit:  # raised by Lightning on Ctrl-C, and on SIGTERM from a scheduler
        print("stopped; the same command resumes after the last finished epoch", file=sys.stderr, flush=True)
        sys.exit(143 if trainer.received_sigterm else 130)
    except DivergedError as error:
        print(f"{title}: {error}", file=sys.stderr, flush=True)
        diverged = True
    return Trained(schedule, record.rows, record.best, diverged)


def _trainer(epochs: int, folder: Path, device: str, time_limit: timedelta | None, record: Record) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")
    limit = [TimeLimit(time_limit)] if time_limit else []
    return Trainer(
        default_root_dir=folder,
        accelerator="cpu" if device == "cpu" else "gpu",
        devices=1,
        max_epochs=epochs,
        callbacks=[record, *limit, SaveCheckpoint("last", every_n_epochs=1)],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,  # forces are derivatives
    )
