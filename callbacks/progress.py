"""Progress of the training, with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from callbacks.epochs import find, log
from callbacks.time_limit import TimeLimit
from cryingan.training.labelled_output import unlabelled

SHOWN = (
    ("train/score_difference", "score difference"),
    ("train/loss", "loss"),
    ("train/explained", "explained variance"),
)
"""Keys, the first of which that a model logs is shown, and what they are called; else any loss of training is."""


class Progress(Callback):
    """Shows a bar over the epochs in a terminal, and elsewhere a line every `every_n_epochs` epochs.

    Both show the epoch, the score difference or the loss, steps per second and the time left, at most that of
    `trainer.max_time`. Runs that are trained together share one line, printed when the last of them has finished the
    epoch; steps are counted per run.

    Logs `time/steps_per_second`, discriminator steps per second in the epoch, without validation.

    Args:
        every_n_epochs: epochs per plain line.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = every_n_epochs
        self.bar: Bar | None = None
        self.finished: int | None = None  # the epoch to report next

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print where the run resumes, and start the bar."""
        self.first_epoch, self.started = trainer.current_epoch, time.monotonic()
        if not trainer.is_global_zero:
            return
        if trainer.global_step:
            print(f"resuming after epoch {self.first_epoch}", flush=True)
        if sys.stdout.isatty():
            self.bar = Bar(TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[state]}"))
            self.task = self.bar.add_task("", total=trainer.max_epochs, completed=self.first_epoch, state="")
            self.bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the previous epoch, whose values are all logged now, and start the clock."""
        self._report(trainer)
        self.epoch_started, self.steps, self.elapsed = time.monotonic(), 0, 0.0

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count the step."""
        if not hasattr(self, "epoch_started"):  # a run that resumed within an epoch
            self.epoch_started, self.steps = time.monotonic(), 0
        self.steps += 1
        self.elapsed = time.monotonic() - self.epoch_started

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the speed of the epoch."""
        self.finished = trainer.current_epoch
        self.speed = self.steps / max(self.elapsed, 1e-9)
        log(trainer, {"time/steps_per_second": self.speed}, trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last epoch."""
        self._report(trainer, last=True)
        self._stop()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Explain why nothing was trained."""
        if trainer.is_global_zero and not hasattr(self, "started"):
            done = f"{trainer.default_root_dir} has all its {trainer.current_epoch} epochs"
            print(f"{done}; raise trainer.max_epochs or choose another run_dir", flush=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _report(self, trainer: Trainer, last: bool = False) -> None:
        if self.finished is None or not trainer.is_global_zero:
            return
        done, self.finished = self.finished + 1, None
        together = getattr(trainer.lightning_module, "companions", ())
        runs = [run for run in together if run.current_epoch in (done - 1, done)] or [trainer]
        if any(run.state.status == "running" for run in runs[runs.index(trainer) + 1 :]):
            return
        per_epoch = (time.monotonic() - self.started) / max(done - self.first_epoch, 1)
        seconds, limit = per_epoch * (trainer.max_epochs - done), find(trainer, TimeLimit)
        if limit is not None:
            seconds = min(seconds, limit.time_remaining())
        left = timedelta(seconds=round(max(seconds, 0)))
        state = f"{_shown(runs)}{self.speed:.3g} steps/s, {left} left"
        if self.bar is not None:
            self.bar.update(self.task, completed=done, state=state)
        elif last or done % self.every_n_epochs == 0:
            print(f"epoch {done}/{trainer.max_epochs}: {state}", file=unlabelled(), flush=True)


def _shown(runs: Sequence[Trainer]) -> str:
    """What the models of some runs have logged of the epoch, with a comma; empty where there is nothing to show."""
    # A model that logs every step with `self.log` has its value among those of the loggers only.
    logged = [{**run.logged_metrics, **run.callback_metrics} for run in runs]
    keys = {key: key for values in logged for key in values}
    losses = [(key, key) for key in keys if "loss" in key and not key.startswith("val")]
    for key, name in (pair for pair in (*SHOWN, *losses) if pair[0] in keys):
        values = [float(values[key]) for values in logged if key in values]  # runs that catch up have none
        several = f" to {max(values):.4g} in {len(values)} runs" if len(values) > 1 else ""
        return f"{name} {min(values):.4g}{several}, "
    return ""
