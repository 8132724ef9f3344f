"""The folder `relaxed` of a run, with a folder for each epoch whose samples are relaxed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from callbacks.epochs import epoch_name, epoch_of
from cryingan.energies.training_scale import RECORD
from cryingan.errors import OtherResultsError
from cryingan.samples.folder import SAMPLES, holds, numbered, read_error, read_summary, store_samples
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals

SCALE = "relaxed_energies"  # key of a checkpoint: the energy scale of its run


class RelaxedEpochs:
    """The folders `relaxed/epoch_<done>` of a run, by epoch (counted from 0; their names count finished epochs).

    Args:
        run_dir: the run folder.
    """

    def __init__(self, run_dir: Path) -> None:
        self.folder, self.checkpoints = run_dir / "relaxed", run_dir / "checkpoints"
        self.aside: Path | None = None

    def of(self, epoch: int) -> Path:
        """The folder of an epoch."""
        return self.folder / epoch_name(epoch)

    def all(self) -> list[Path]:
        """All folders with samples, by epoch, without those that were set aside."""
        folders = (path.parent for path in self.folder.glob(f"epoch_*/{SAMPLES}"))
        return sorted((folder for folder in folders if not folder.suffix), key=epoch_of)

    def gave_up(self, epoch: int) -> bool:
        """Whether the samples of an epoch could not be relaxed."""
        return read_error(self.of(epoch)) is not None

    def begin_anew(self) -> str | None:
        """Set aside the folders of an earlier training, as `relaxed.1` or the next free number; a line that says so."""
        if not self.all():
            return None
        self.aside = numbered(self.folder)
        self.folder.rename(self.aside)
        return f"{self.folder} is of an earlier training and is now {self.aside}"

    def store(self, samples: Crystals, epoch: int) -> str | None:
        """Write the samples of an epoch, and set aside results of other samples; a line about these."""
        folder = self.of(epoch)
        if self.aside is not None and not folder.exists() and holds(samples, self.aside / folder.name):
            (self.aside / folder.name).rename(folder)  # the same training, killed before its first checkpoint
        try:
            return store_samples(samples, folder)
        except OtherResultsError:
            aside = numbered(folder)
            folder.rename(aside)
            store_samples(samples, folder)
            return f"{folder} held relaxations of other samples, which are now in {aside.name}"

    def scales(self) -> list[dict[str, Any]]:
        """The energy scales that the run has used so far, and `where` each is written."""
        paths = [self.checkpoints / name for name in ("best.ckpt", "last.ckpt")]
        found = {path: read_checkpoint(path).get(SCALE) for path in paths if path.exists()}
        found |= {folder: read_summary(folder) for folder in self.all()}
        return [{**scale_of(content), "where": str(path)} for path, content in found.items() if content]


def scale_of(content: dict[str, Any]) -> dict[str, Any]:
    """The energy scale in the summary of an evaluation."""
    return {name: content[name] for name in RECORD if name in content}
