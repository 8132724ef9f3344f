"""One training with its folder: started, resumed, and closed however it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import make_folder, remove_without_files
from cryingan.storage.locks import LOCK, lock_folder


@dataclass
class Run:
    """One training in its folder, ready to begin or to resume; `checkpoint` is None for a new run."""

    folder: Path
    trainer: Trainer
    model: LightningModule
    data: LightningDataModule
    checkpoint: Path | None

    def fit(self) -> dict[str, float]:
        """Train, with the run folder locked, close the loggers however it ends, and return the last metrics.

        A folder in which nothing has been written when a setting is refused is removed.

        Raises:
            CryinGANError: another process trains in the folder, Lightning refuses a setting, or training diverged.
        """
        lock = lock_folder(make_folder(self.folder)) if self.trainer.is_global_zero else nullcontext()
        with lightning_errors(), lock:
            try:
                self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.checkpoint)
            except (CryinGANError, MisconfigurationException):
                if self.trainer.is_global_zero:
                    remove_without_files(self.folder, LOCK)
                raise
            except SystemExit:
                print("stopped; the same command resumes after the last checkpoint, if there is one", flush=True)
                sys.exit(143 if self.trainer.received_sigterm else 130)
            finally:
                for logger in self.trainer.loggers:
                    if hasattr(logger, "close"):  # Lightning's own have none
                        logger.close()
        return {name: float(value) for name, value in self.trainer.callback_metrics.items()}


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn what Lightning says of settings that it refuses into a CryinGANError of one line."""
    try:
        yield
    except MisconfigurationException as error:
        raise CryinGANError(" ".join(str(error).split())) from error
