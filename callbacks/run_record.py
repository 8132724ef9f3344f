"""run.json and times.csv: how a run was started, how it failed, and how long its epochs took."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from cryingan.storage.text import in_one_line
from cryingan.training.record import TIME_COLUMNS, TIMES, code_version, read_times, write_record


class RunRecord(Callback):
    """Writes run.json when training starts or fails, and a line of times.csv after every epoch.

    `seconds` are those of training, with measuring, and relaxing where training waits for it, over all jobs of a run.
    A run that resumes without the times of its epochs, as one of an earlier version, gets none: its clock would start
    in the middle. Logs nothing: times differ between equal runs.

    Args:
        command: the command line.
        model: the chosen option of the group `model`; None where there is none.
    """

    def __init__(self, command: str, model: str | None = None) -> None:
        self.content: dict[str, Any] = {"command": command, "model": model}
        self.folder: Path | None = None  # from the start of training on, in the first process
        self.start: float | None = None  # on the clock; None where the times of earlier epochs are unknown

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write run.json, and drop the times of epochs that are trained again."""
        if not trainer.is_global_zero:
            return
        self.folder, data = Path(trainer.default_root_dir), trainer.datamodule
        self.content |= {**code_version(), "data_sha256": getattr(data, "sha256", None), "failed": None}
        write_record(self.folder, self.content)
        times = read_times(self.folder)
        times = times[times[:, 0] < trainer.current_epoch]
        if trainer.current_epoch - 1 not in [-1, *times[:, 0]]:
            return
        lines = [",".join(TIME_COLUMNS), *(f"{epoch:.0f},{seconds:.3f}" for epoch, seconds in times)]
        with replace_file(self.folder / TIMES) as file:
            file.write(("\n".join(lines) + "\n").encode())
        self.start = time.monotonic() - (times[-1, 1] if len(times) else 0.0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line."""
        if self.folder is None or self.start is None:
            return
        line = f"{trainer.current_epoch},{time.monotonic() - self.start:.3f}\n"
        try:
            with (self.folder / TIMES).open("a") as file:
                file.write(line)
        except OSError as error:
            raise CryinGANError(f"{self.folder / TIMES} cannot be written: {error.strerror or error}") from error

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write how training failed; a run that the user stopped, or that was terminated, has not."""
        if self.folder is not None and isinstance(exception, Exception):
            text = str(exception) if isinstance(exception, CryinGANError) else in_one_line(exception)
            kind = "" if isinstance(exception, CryinGANError) else f"{type(exception).__name__}: "
            with suppress(CryinGANError):  # the disk may be why
                write_record(self.folder, {**self.content, "failed": kind + text})
