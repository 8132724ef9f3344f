"""One training with its folder: started, resumed, and closed however it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
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

        A folder in which nothing has been written when a setting is refused is removed, with those above it that were
        made for it.

        Raises:
            CryinGANError: another process trains in the folder, Lightning refuses a setting, or training diverged.
        """
        above = [parent for parent in self.folder.parents if not parent.exists()]
        lock = lock_folder(make_folder(self.folder)) if self.trainer.is_global_zero else nullcontext()
        with lightning_errors(), lock:
            try:
                self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.checkpoint)
            except (CryinGANError, MisconfigurationException):
                if self.trainer.is_global_zero:
                    remove_without_files(self.folder, LOCK)
                    for parent in above:
                        with suppress(OSError):  # another run is in it
                            parent.rmdir()
                raise
            except SystemExit:
                print(f"stopped; {self._goes_on()}", flush=True)
                sys.exit(143 if self.trainer.received_sigterm else 130)
            finally:
                for logger in self.trainer.loggers:
                    if hasattr(logger, "close"):  # Lightning's own have none
                        logger.close()
        return {name: float(value) for name, value in self.trainer.callback_metrics.items()}

    def _goes_on(self) -> str:
        """Where the next job of the run begins."""
        from cryingan.training.checkpoints import finished_epochs, newest_checkpoint

        last = newest_checkpoint(self.folder / "checkpoints")
        if last:
            return f"resume=auto, the default, resumes after epoch {finished_epochs(last)}"
        begins = f"resumes from {self.checkpoint}" if self.checkpoint else "starts again"
        return f"no checkpoint has been written: the same command {begins}"


@contextmanager
def lightning_errors() -> Iterator[None]:
    """Turn what Lightning says of settings that it refuses into a CryinGANError of one line."""
    try:
        yield
    except MisconfigurationException as error:
        raise CryinGANError(" ".join(str(error).split())) from error
