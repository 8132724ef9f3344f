"""The folder `relaxed` of a run, with one folder for each evaluation of its samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from callbacks.epochs import epoch_name, epoch_of
from cryingan.energies.training_scale import RECORD
from cryingan.errors import OtherResultsError
from cryingan.samples.folder import SAMPLES, holds, numbered, read_error, read_summary, store_samples
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals

SCALE = "relaxed_energies"  # key of a checkpoint: what the energies of its run are measured with


class Evaluations:
    """The folders `relaxed/epoch_<done>` of a run; they are named after finished epochs, here counted from 0.

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
        """The folders that are there, by epoch, without those that were set aside."""
        folders = (path.parent for path in self.folder.glob(f"epoch_*/{SAMPLES}"))
        return sorted((folder for folder in folders if not folder.suffix), key=epoch_of)

    def gave_up(self, epoch: int) -> bool:
        """Whether the samples of an epoch could not be relaxed."""
        return read_error(self.of(epoch)) is not None

    def begin_anew(self) -> str | None:
        """Set aside what an earlier training has left, as `relaxed.1` or the next free number; says so in a line."""
        if not self.all():
            return None
        self.aside = numbered(self.folder)
        self.folder.rename(self.aside)
        return f"{self.folder} is of an earlier training; it is {self.aside} now"

    def store(self, samples: Crystals, epoch: int) -> str | None:
        """Write the samples of an epoch; results of the same samples are kept, of others set aside and told of."""
        folder = self.of(epoch)
        if self.aside is not None and not folder.exists() and holds(samples, self.aside / folder.name):
            (self.aside / folder.name).rename(folder)  # the same training, which a kill has sent back to its start
        try:
            return store_samples(samples, folder)
        except OtherResultsError:
            aside = numbered(folder)
            folder.rename(aside)
            store_samples(samples, folder)
            return f"{folder} held relaxations of other samples, which are in {aside.name} now"

    def scales(self) -> list[dict[str, Any]]:
        """What the run's energies so far are measured with, and `where` that is written."""
        paths = [self.checkpoints / name for name in ("best.ckpt", "last.ckpt")]
        found = {path: read_checkpoint(path).get(SCALE) for path in paths if path.exists()}
        found |= {folder: read_summary(folder) for folder in self.all()}
        return [{**scale_of(content), "where": str(path)} for path, content in found.items() if content]


def scale_of(content: dict[str, Any]) -> dict[str, Any]:
    """The part of a summary that says what its energies are measured with."""
    return {name: content[name] for name in RECORD if name in content}
