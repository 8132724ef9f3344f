"""Write and draw samples during training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.epochs import due, epoch_name
from callbacks.wandb_run import wandb_runs
from cryingan.plots.structures import structure_figure
from cryingan.plots.style import save_figure
from cryingan.storage.atomic import make_folder
from cryingan.structures.files import write_structures


class SaveStructures(Callback):
    """Writes `n` samples to `samples/epoch_<done>.extxyz` every `every_n_epochs` epochs and after the last.

    A picture of the first ones stands beside the file; both go to W&B, the picture as `samples/structures`.
    The noise is the same every time, so that one can watch structures form.

    Args:
        every_n_epochs: epochs between files.
        n: structures in a file.
        pictures: structures drawn; 0 for no picture.
    """

    def __init__(self, every_n_epochs: int = 100, n: int = 16, pictures: int = 3) -> None:
        self.every_n_epochs = every_n_epochs
        self.n = n
        self.pictures = pictures

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file and the picture."""
        if not trainer.is_global_zero or not due(trainer, self.every_n_epochs):
            return
        samples = pl_module.sample(self.n, pl_module.hparams.seed, purpose="structures")
        stem = Path(trainer.default_root_dir) / "samples" / epoch_name(trainer.current_epoch)
        make_folder(stem.parent)
        write_structures(samples, stem.with_suffix(".extxyz"))
        if self.pictures:
            save_figure(structure_figure(samples[: self.pictures]), stem.with_suffix(".png"))
        for run in wandb_runs(trainer):
            run.attempt(self._upload, stem, trainer.current_epoch)

    def _upload(self, run: Any, stem: Path, epoch: int) -> None:
        import wandb

        copy = make_folder(Path(run.dir) / "samples") / f"{stem.name}.extxyz"
        shutil.copyfile(stem.with_suffix(".extxyz"), copy)
        run.save(str(copy), base_path=run.dir, policy="now")
        if self.pictures:
            picture = wandb.Image(str(stem.with_suffix(".png")), caption=f"after {epoch + 1} epochs")
            run.log({"samples/structures": picture, "epoch": epoch})
