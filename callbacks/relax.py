"""Samples relaxed while training: what fraction of them reaches low energy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger

from callbacks.metrics_csv import MetricsCSV
from callbacks.relax_upload import upload
from callbacks.timing import due
from cryingan.errors import CryinGANError
from cryingan.gan import CryinGAN
from cryingan.randomness import generator
from cryingan.relax_worker import BackgroundRelaxer, InlineRelaxer
from cryingan.relaxed_report import in_words
from cryingan.relaxed_samples import SAMPLES, Plan, read_summary, store_samples
from cryingan.replace import make_folder

MODES = {"inline": InlineRelaxer, "background": BackgroundRelaxer}
LOGGED = "relax/failed"  # a row of metrics.csv with this key has all the others, too


class RelaxSamples(Callback):
    """Every `every_n_epochs` epochs and after the last, `n_samples` samples are repaired, relaxed and compared.

    Logs, in the row of the epoch that the samples are from, `relax/fraction_below_<threshold>` with `..._low` and
    `..._high`, `relax/failed`, `relax/unconverged` (all of these are fractions of the generated samples),
    `relax/energy`, `relax/energy_median`, `relax/energy_drop`, `relax/steps` and `relax/close_pairs`
    (`cryingan.relaxed_report.Outcome.values` defines them). Files are in `relaxed/epoch_<done>/` of the run folder
    (`cryingan.relaxed_samples.SampleRelaxer` lists them). W&B also gets the histogram `relax/energies`, the table
    `relax/samples` with a picture per sample, the first of them as `relax/structures`, the relaxed structures, and as
    `relax/molecules_before` and `relax/molecules_after` some that turn.

    The samples come from a seed stream of their own, so training does not depend on any of this. Evaluations that were
    cut off are finished when the run goes on. Only the first process of several does anything.

    Args:
        potential: arguments of `cryingan.potentials.load_potential`.
        relax: arguments of `cryingan.relax.relax`; its `time_budget` is that of one evaluation.
        every_n_epochs: epochs between evaluations.
        n_samples: samples of an evaluation.
        thresholds: in J/m^2 for an interface, eV/atom for bulk.
        mode: `inline`: training waits; `background`: another process relaxes and training waits only at the end.
        repair_distance: atoms closer than this are moved apart before relaxation, Angstrom.
        cache: folder for the energies of the training structures; None for `.energies` beside them.
        pictures: samples drawn before and after relaxation, as picture and as PDB file; with W&B all are drawn.
    """

    def __init__(
        self,
        potential: dict[str, Any] | None,
        relax: dict[str, Any],
        every_n_epochs: int = 1000,
        n_samples: int = 50,
        thresholds: Sequence[float] = (0.0, -0.2),
        mode: str = "background",
        repair_distance: float = 1.5,
        cache: str | None = None,
        pictures: int = 3,
    ) -> None:
        self.potential, self.relax = potential, relax
        self.every_n_epochs, self.n_samples, self.mode = every_n_epochs, n_samples, mode
        self.thresholds, self.repair_distance, self.cache, self.pictures = thresholds, repair_distance, cache, pictures
        self.relaxer: InlineRelaxer | BackgroundRelaxer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse settings that cannot work."""
        if self.potential is None:
            raise CryinGANError("callbacks=relax needs a potential, such as potential=m3gnet potential.path=FOLDER")
        if self.mode not in MODES:
            raise CryinGANError(f"callbacks.relax.mode={self.mode}: use {' or '.join(MODES)}")
        if self.every_n_epochs < 1 or self.n_samples < 1:
            raise CryinGANError("callbacks.relax.every_n_epochs and callbacks.relax.n_samples must be at least 1")
        self.folder = Path(trainer.default_root_dir) / "relaxed"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load the potential, and go on with what a stopped run left unfinished."""
        if trainer.is_global_zero:
            self._start(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: CryinGAN) -> None:
        """Hand samples over when they are due, and log what has come back."""
        if not trainer.is_global_zero:
            return
        if due(trainer, self.every_n_epochs):
            self.relaxer.submit(self._sampled(trainer.current_epoch, pl_module))
        for folder in self.relaxer.poll():
            self._log(trainer, folder)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the last evaluations."""
        if trainer.is_global_zero:
            self._finish(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same for a run whose training was over already."""
        if trainer.is_global_zero and self.relaxer is None and self._unfinished(trainer):
            self._start(trainer)
            self._finish(trainer)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave no process behind."""
        self._stop()

    def _start(self, trainer: Trainer) -> None:
        uploads = any(isinstance(logger, WandbLogger) for logger in trainer.loggers)
        plan = Plan(
            self.potential,
            {**self.relax, "progress": self.relax.get("progress", True) and self.mode == "background"},
            trainer.datamodule.training_source,
            list(self.thresholds),
            self.repair_distance,
            self.cache,
            pictures=self.n_samples if uploads else self.pictures,
            molecules=self.pictures,
        )
        log = make_folder(self.folder) / "worker.log"
        self.relaxer = MODES[self.mode](plan, log, report=_say)
        self.relaxer.wait_until_ready()
        for folder in self._unfinished(trainer):
            self.relaxer.submit(folder)

    def _unfinished(self, trainer: Trainer) -> list[Path]:
        """Folders with samples of epochs before the current one whose values have not been logged."""
        metrics = _metrics(trainer)
        metrics.begin(trainer.current_epoch)
        folders = sorted(path.parent for path in self.folder.glob(f"epoch_*/{SAMPLES}"))
        earlier = [folder for folder in folders if _epoch(folder) < trainer.current_epoch]
        return [folder for folder in earlier if metrics.value(_epoch(folder), LOGGED) is None]

    def _sampled(self, epoch: int, pl_module: CryinGAN) -> Path:
        """The folder of an epoch with its samples; results of the same samples, from before a stop, are kept."""
        folder = self.folder / f"epoch_{epoch + 1:06d}"
        seed = generator(pl_module.hparams.seed, "relaxed samples", epoch).initial_seed()
        samples = pl_module.sample(self.n_samples, seed)
        try:
            store_samples(samples, folder)
        except CryinGANError:  # an earlier run came this far with other settings
            shutil.rmtree(folder)
            store_samples(samples, folder)
        return folder

    def _log(self, trainer: Trainer, folder: Path) -> None:
        summary, epoch = read_summary(folder), _epoch(folder)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in summary["values"].items()})
        values = {**summary["values"], "time/relaxation": summary["seconds"], "epoch": epoch}
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)
            if isinstance(logger, WandbLogger):
                upload(logger.experiment, folder, epoch)
        _say(f"epoch {epoch + 1}: {in_words(summary)}")

    def _finish(self, trainer: Trainer) -> None:
        if self.relaxer.waiting:
            _say(f"waiting for the relaxation of {self._names()} (progress: {self.folder / 'worker.log'})")
        while folders := self.relaxer.wait(lambda: trainer.received_sigterm):
            for folder in folders:
                self._log(trainer, folder)
        if self.relaxer.waiting:
            _say(f"terminated before the relaxation of {self._names()} was done; the same command goes on with it")

    def _names(self) -> str:
        return ", ".join(folder.name for folder in self.relaxer.waiting)

    def _stop(self) -> None:
        if self.relaxer is not None:
            self.relaxer.close()
            self.relaxer = None


def _metrics(trainer: Trainer) -> MetricsCSV:
    return next(logger for logger in trainer.loggers if isinstance(logger, MetricsCSV))


def _epoch(folder: Path) -> int:
    """The epoch that a folder's samples are from; folders are named after finished epochs, rows after the current."""
    return int(folder.name.removeprefix("epoch_")) - 1


def _say(line: str) -> None:
    print(line, flush=True)
