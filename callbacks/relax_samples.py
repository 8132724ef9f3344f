"""Relax samples during training and log what fraction of them is low in energy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.epochs import UNTRAINED, due, epoch_of, epoch_title, find, log
from callbacks.metrics_csv import MetricsCSV
from callbacks.relaxed_epochs import SCALE, RelaxedEpochs, scale_of
from callbacks.wandb_relaxed import upload
from callbacks.wandb_run import begin_wandb, wandb_runs
from cryingan.energies.data_card import default_potential, read_data_card
from cryingan.energies.fractions import N_TRAINING
from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.randomness import generator
from cryingan.relaxation.fixed import with_fixed
from cryingan.relaxation.settings import REPAIR_DISTANCE, RelaxSettings
from cryingan.samples.background import BackgroundRelaxer, FolderRelaxer, InlineRelaxer
from cryingan.samples.folder import WORKER_LOG, read_summary
from cryingan.samples.plan import FIXED_IN_SET, Plan, fixed_in_set
from cryingan.samples.report import comparison_line, summary_line
from cryingan.samples.set_comparison import ENDS, comparison_keys
from cryingan.storage.atomic import make_folder
from cryingan.storage.fraction_keys import fraction_key
from cryingan.training.end_of_job import END_OF_JOB

MODES = {"inline": InlineRelaxer, "background": BackgroundRelaxer}
LOGGED = "relax/failed"  # an epoch that has this one in metrics.csv has been evaluated
SHARES = ("failed", "unconverged", "out_of_time", "contacts", "close_pairs")
AVERAGES = ("steps", "energy", "energy_median", "energy_drop")
LONGEST = 1000  # epochs between evaluations


class RelaxSamples(Callback):
    """Repairs and relaxes `n_samples` samples every so many epochs and after the last.

    Logs, in the row of the epoch that the samples are from, `relax/fraction_below_<threshold>` (as
    `cryingan.storage.fraction_keys.fraction_key` names it), `relax/failed`, `relax/unconverged` and
    `relax/out_of_time` (fractions of the generated samples), `relax/contacts` (of the converged), `relax/energy`,
    `relax/energy_median`, `relax/energy_drop` and `relax/steps`, some with `..._low` and `..._high`, and
    `relax/close_pairs`
    (`cryingan.samples.report.Outcome.values` defines them). Files are in `relaxed/epoch_<done>/` of the run folder
    (`cryingan.samples.relaxer.SampleRelaxer` lists them). W&B also gets the histogram `relax/energies`, the table
    `relax/samples` with a picture per sample, the first of them as `relax/structures`, the relaxed structures, and as
    `relax/molecules_before` and `relax/molecules_after` some that turn.

    The samples have a seed stream of their own, so training does not depend on any of this. Interrupted evaluations are
    completed on resume. Results of other settings, or of an earlier training in the same run folder, are set aside as
    `relaxed/epoch_<done>.1` or `relaxed.1`. A run resumes with the potential and the energy scale that it began with,
    or not at all. With several processes only the first does anything.

    Args:
        potential: arguments of `cryingan.potentials.potential.load_potential`; None: that of the data set's card.
        relax: fields of `cryingan.relaxation.settings.RelaxSettings`; its `time_budget` is that of one evaluation.
        every_n_epochs: epochs between evaluations; None: 1000, in shorter trainings half of their epochs.
        n_samples: samples of an evaluation.
        thresholds: in J/m^2 for an interface, eV/atom for bulk; None: 0 and -0.2 for an interface, 0 for bulk.
        mode: `inline`: training waits; `background`: another process relaxes and training waits only at the end.
        repair_distance: atoms closer than this are moved apart before relaxation, Angstrom.
        n_training: training structures that are relaxed for the zero of energies where they are not at rest; 0: none,
            and then no thresholds.
        cache: folder for the energies of the training structures; None for `.cryingan` beside them.
        pictures: samples drawn before and after relaxation, as picture and as PDB file; with W&B all are drawn.
        before: also relax samples of the untrained generator, in `relaxed/epoch_000000`; they are not logged.
        temperature: factor of the noise that the samples come from, where the model has one.
    """

    def __init__(
        self,
        potential: dict[str, Any] | None,
        relax: dict[str, Any],
        every_n_epochs: int | None = None,
        n_samples: int = 50,
        thresholds: Sequence[float] | None = None,
        mode: str = "background",
        repair_distance: float = REPAIR_DISTANCE,
        n_training: int = N_TRAINING,
        cache: str | None = None,
        pictures: int = 3,
        before: bool = False,
        temperature: float = 1.0,
    ) -> None:
        self.potential, self.relax = potential, relax
        self.every_n_epochs, self.n_samples, self.mode = every_n_epochs, n_samples, mode
        self.thresholds, self.repair_distance, self.cache, self.pictures = thresholds, repair_distance, cache, pictures
        self.n_training, self.before, self.temperature = n_training, before, temperature
        self.relaxer: FolderRelaxer | None = None
        self.scale: dict[str, Any] = {}

    def limits(self, trainer: Trainer) -> tuple[float, ...]:
        """The thresholds, where none are given those of a set of this kind."""
        if self.thresholds is not None:
            if isinstance(self.thresholds, str | float | int):
                raise CryinGANError(f"callbacks.relax.thresholds={self.thresholds} must be a list, such as [0,-0.2]")
            return tuple(self.thresholds)
        return read_data_card(trainer.datamodule.path, trainer.datamodule.settings.card).thresholds

    def keys(self, trainer: Trainer) -> set[str]:
        """All keys that an evaluation may log."""
        thresholds = self.limits(trainer)
        with_ends = [*map(fraction_key, thresholds)]
        with_ends += [f"relax/{name}" for name in AVERAGES]
        own = {f"{name}{end}" for name in with_ends for end in ENDS} | {f"relax/{name}" for name in SHARES}
        return own | comparison_keys(thresholds)

    def interval(self, trainer: Trainer) -> int:
        """Epochs between evaluations."""
        if self.every_n_epochs is not None:
            return self.every_n_epochs
        return max(1, min(LONGEST, -(-trainer.max_epochs // 2)))

    def gave_up(self, epoch: int) -> bool:
        """Whether the samples of an epoch cannot be relaxed."""
        return self.epochs.gave_up(epoch)

    def summaries(self) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """relaxed.json of the untrained generator's samples and of the last ones; None where they were not relaxed."""
        folders = {epoch_of(folder): folder for folder in self.epochs.all()}
        ended = {epoch: found for epoch, folder in folders.items() if (found := read_summary(folder))}
        untrained = ended.pop(UNTRAINED, None)
        return untrained, ended[max(ended)] if ended else None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse settings that cannot work."""
        if self.potential is None:
            self.potential = default_potential(trainer.datamodule.path, trainer.datamodule.settings.card)
        if self.potential is None:
            raise CryinGANError("callbacks=relax needs a potential, such as potential=m3gnet potential.path=FOLDER")
        if self.mode not in MODES:
            raise CryinGANError(f"callbacks.relax.mode={self.mode}: use {' or '.join(MODES)}")
        if self.interval(trainer) < 1 or self.n_samples < 1:
            raise CryinGANError("callbacks.relax.every_n_epochs and callbacks.relax.n_samples must be at least 1")
        self.thresholds = list(self.limits(trainer))
        if not all(isinstance(threshold, int | float) for threshold in self.thresholds):
            raise CryinGANError(f"callbacks.relax.thresholds={self.thresholds} must be numbers")
        try:
            pl_module.required_temperature(self.temperature)
        except CryinGANError as error:
            raise CryinGANError(f"callbacks.relax.{error}") from error
        self._check_fixed(trainer)
        self.epochs = RelaxedEpochs(Path(trainer.default_root_dir))

    def _check_fixed(self, trainer: Trainer) -> None:
        """Take the rule of a built set, refuse one that the atoms do not allow, and say what is fixed of the set."""
        data = trainer.datamodule
        if rule := fixed_in_set(self.relax, data.path, data.settings.card):
            self.relax = {**self.relax, "fixed": rule}
            _print(FIXED_IN_SET % (rule, data.path) if trainer.is_global_zero else None)
        rule = RelaxSettings.from_mapping(self.relax).fixed
        with_fixed(data.crystals, rule)
        if rule is None and data.crystals.fixed is not None and trainer.is_global_zero:
            _print(f"{data.path} has fixed atoms; all atoms of samples are free, unless relax.fixed names some")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load the potential, and complete evaluations that a stopped run left unfinished."""
        if trainer.is_global_zero:
            self._start(trainer)
            if self.before and trainer.current_epoch == 0:
                self._submit(UNTRAINED, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: CryinGAN) -> None:
        """Submit samples when they are due, and log evaluations that are done."""
        if not trainer.is_global_zero:
            return
        if due(trainer, self.interval(trainer)):
            self._submit(trainer.current_epoch, pl_module)
        for folder in self.relaxer.poll():
            self._log(trainer, folder)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the last evaluations."""
        if trainer.is_global_zero:
            self._finish(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the evaluations of a run whose training was over already."""
        if trainer.is_global_zero and self.relaxer is None and self._unfinished(trainer):
            self._start(trainer)
            begin_wandb(trainer)
            self._finish(trainer)
        self._stop()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the energy scale."""
        if self.scale:
            checkpoint[SCALE] = self.scale

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the background process."""
        self._stop()

    def _start(self, trainer: Trainer) -> None:
        if trainer.current_epoch == 0:
            _print(self.epochs.begin_anew())
        plan = Plan(
            self.potential,
            {**self.relax, "progress": self.relax.get("progress", True) and self._shows_progress()},
            trainer.datamodule.source,
            self.thresholds,
            self.repair_distance,
            self.n_training,
            self.cache,
            pictures=self.n_samples if wandb_runs(trainer) else self.pictures,
            molecules=self.pictures,
            earlier=self.epochs.scales(),
            placed=not getattr(trainer.datamodule, "translated", ()),
        )
        _print(plan.trial)
        self.relaxer = MODES[self.mode](plan, make_folder(self.epochs.folder), report=_print)
        self.scale = self.relaxer.scale
        for folder in self._unfinished(trainer):
            self.relaxer.submit(folder)

    def _shows_progress(self) -> bool:
        """Whether relaxing reports its progress: inline on a terminal it would disturb the bar of the training."""
        return self.mode == "background" or not sys.stderr.isatty()

    def _unfinished(self, trainer: Trainer) -> list[Path]:
        """Folders with samples of epochs before the current one whose values have not been logged."""
        metrics = find(trainer, MetricsCSV)
        metrics.begin(trainer.current_epoch)
        epochs = {folder: epoch_of(folder) for folder in self.epochs.all()}
        earlier = {folder: epoch for folder, epoch in epochs.items() if epoch < trainer.current_epoch}
        logged = {epoch: metrics.value(epoch, LOGGED) for epoch in earlier.values() if epoch != UNTRAINED}
        logged[UNTRAINED] = read_summary(self.epochs.of(UNTRAINED))
        return [folder for folder, epoch in earlier.items() if logged[epoch] is None]

    def _submit(self, epoch: int, pl_module: CryinGAN) -> None:
        seed = generator(pl_module.hparams.seed, "relaxed samples", epoch).initial_seed()
        try:
            _print(self.epochs.store(pl_module.sample(self.n_samples, seed, temperature=self.temperature), epoch))
            self.relaxer.submit(self.epochs.of(epoch))
        except CryinGANError as error:
            _print(f"{epoch_title(epoch)}: the samples are not relaxed: {error}")

    def _log(self, trainer: Trainer, folder: Path) -> None:
        summary, epoch = read_summary(folder), epoch_of(folder)
        self.scale = scale_of(summary)
        _print(f"{epoch_title(epoch)}: {summary_line(summary)}")
        _print(comparison_line(summary))
        if epoch == UNTRAINED:
            return
        log(trainer, {**summary["values"], "time/relaxation": summary["seconds"]}, epoch)
        for run in wandb_runs(trainer):
            run.attempt(upload, folder, epoch)

    def _finish(self, trainer: Trainer) -> None:
        if self.relaxer.waiting:
            _print(f"waiting for the relaxation of {self._names()} (progress: {self.epochs.folder / WORKER_LOG})")
        while folders := self.relaxer.wait(lambda: trainer.received_sigterm or END_OF_JOB.announced):
            for folder in folders:
                self._log(trainer, folder)
        if self.relaxer.waiting:
            END_OF_JOB.stopped |= END_OF_JOB.announced
            _print(f"terminated before the relaxation of {self._names()} was done; the same command resumes it")

    def _names(self) -> str:
        return ", ".join(folder.name for folder in self.relaxer.waiting)

    def _stop(self) -> None:
        if self.relaxer is not None:
            self.relaxer.close()
            self.relaxer = None


def _print(line: str | None) -> None:
    if line is not None:
        print(line, flush=True)
