"""Keep the checkpoint of the best epoch."""

from __future__ import annotations

import math
from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from callbacks.epochs import due, epoch_name, epoch_of, find
from callbacks.logged_keys import has_region, require_logged, translated
from callbacks.metrics_csv import MetricsCSV
from callbacks.relax_samples import LOGGED, RelaxSamples
from callbacks.sample_quality import SampleQuality
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.storage.fraction_keys import current_key, distinct_key, fraction_key, mode_of, worst_of

SIGNS = {"max": 1, "min": -1}
ENOUGH = 32  # samples; balls of fewer are so wide that even random structures may have an F1 score of 0.6
NONE_GOOD = "; no sample is good by this key yet: all epochs are equal, and the last one is kept"


class KeepBest(Checkpoint):
    """Keeps `checkpoints/best.ckpt` in the run folder, of the epoch with the best value of one key of metrics.csv.

    The value may be known long after the epoch. Until then the epoch's checkpoint waits as
    `checkpoints/candidates/epoch_<done>.ckpt`. It is removed when its evaluation is given up, or when a later epoch has
    a value, since values come in order. Of equal epochs the last is kept: it has trained longest while no sample is
    good. Logs nothing; prints at the end which epoch is best.

    A key that samples which are all alike cannot win is the default: `relax/f1` where at least 32 samples are relaxed
    and the training structures share most of their sites; elsewhere `relax/distinct_below_<first threshold>`. Where
    none are relaxed, the loss of held-out structures of models that have one, else `samples/f1` of at least 32; without
    shared sites, nothing is kept then. Relaxed samples of translated structures are not compared by place: a fraction
    is followed. None of these sees copies of training structures; `nearest_training` does.

    Args:
        key: what is compared, any key of metrics.csv; the score difference does not tell quality. None: as above.
        every_n_epochs: epochs between candidates. None: as often as the key is measured.
        mode: `max`: the highest value is best; `min`: the lowest. None: what is good of the key
            (`cryingan.storage.fraction_keys.mode_of`); it is needed where that is not clear.
    """

    def __init__(self, key: str | None = None, every_n_epochs: int | None = None, mode: str | None = None) -> None:
        self.key, self.every_n_epochs, self.mode = key and current_key(key), every_n_epochs, mode
        self.best: float | None = None  # times the sign: more is better
        self.sure = True  # that the key is logged

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the key, and refuse one that is never logged, or whose best value is ambiguous."""
        self.relax, self.quality = find(trainer, RelaxSamples), find(trainer, SampleQuality)
        if self.key is not None:
            self.sure = require_logged(trainer, pl_module, "callbacks.best.key", self.key)
        self.key = self.key or self._default_key(trainer, pl_module)
        if self.key is None:
            return
        mode = self.mode or mode_of(self.key)
        if mode not in SIGNS:
            raise CryinGANError(f"callbacks.best.key={self.key} needs callbacks.best.mode=min or max, what is best")
        self.sign = SIGNS[mode]
        self.every_n_epochs = self.every_n_epochs or self._measured_every(trainer)

    def _default_key(self, trainer: Trainer, pl_module: LightningModule) -> str | None:
        thresholds = self.relax.limits(trainer) if self.relax else ()
        if self.relax and translated(trainer):
            return fraction_key(thresholds[0]) if thresholds else None
        if self.relax:
            if self.relax.n_samples >= ENOUGH and has_region(trainer):
                return "relax/f1"
            return distinct_key(thresholds[0]) if thresholds else "relax/distinct_minima"
        held_out = getattr(pl_module, "held_out_loss", None)
        if held_out and len(trainer.datamodule.split()[1]):
            return held_out
        measured = self.quality and self.quality.n >= ENOUGH and has_region(trainer)
        return "samples/f1" if measured else None

    def _measured_every(self, trainer: Trainer) -> int:
        """Epochs between values of the key."""
        of = self.key.partition("/")[0]
        if of == "relax":
            return self.relax.interval(trainer)
        if of in ("samples", "alloy") and self.quality:
            return self.quality.every_n_epochs
        return trainer.check_val_every_n_epoch if of == "val" else 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the best so far."""
        if self.key:
            self._prepare(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say once, early, that no epoch has a key of which it was not known before whether it is logged."""
        if self.sure or not trainer.is_global_zero or not self.metrics.rows:
            return
        if trainer.current_epoch % self.every_n_epochs == 0:
            self.sure = True
            if not self._logged(self.key):
                keys = ", ".join(self.metrics.columns[1:])
                print(f"callbacks.best.key={self.key} has not been logged so far; metrics.csv has {keys}", flush=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a candidate, unless it is known to be worse than the best, and compare those whose value is known."""
        if self.key is None:
            return
        if due(trainer, self.every_n_epochs) and trainer.strategy.broadcast(self._may_be_best(trainer)):
            trainer.save_checkpoint(_candidates(trainer) / f"{epoch_name(trainer.current_epoch)}.ckpt")
        self._compare(trainer)

    def _may_be_best(self, trainer: Trainer) -> bool:
        if not trainer.is_global_zero:
            return False  # the first process decides
        value = self.metrics.value(trainer.current_epoch, self.key)
        if value is None:
            return not self.key.startswith("val/")  # the last epoch may be without a validation
        return self.sign * value >= self.best

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the last candidates."""
        if self.key is None:
            return
        self._compare(trainer)
        if trainer.is_global_zero:
            self._report(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare candidates of a run whose training was over already."""
        if self.key and self.best is None:
            self._prepare(trainer)
            self._compare(trainer)

    def _prepare(self, trainer: Trainer) -> None:
        """Find the best value so far; it is unknown when its epoch is trained again."""
        self.best = -math.inf
        self.metrics = find(trainer, MetricsCSV)
        if not trainer.is_global_zero:
            return
        self.metrics.begin(trainer.current_epoch)
        for path in _candidates(trainer).glob("*.ckpt"):
            if epoch_of(path) >= trainer.current_epoch:  # trained again, or of an earlier training
                path.unlink()
        best = _candidates(trainer).parent / "best.ckpt"
        if best.exists():
            value = self.metrics.value(read_checkpoint(best)["epoch"], self.key)
            self.best = self.best if value is None else self.sign * value

    def _compare(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            return
        for path in sorted(_candidates(trainer).glob("*.ckpt"), key=epoch_of):
            value = self.metrics.value(epoch_of(path), self.key)
            if value is not None and self.sign * value >= self.best:
                self.best = self.sign * value
                path.replace(path.parents[1] / "best.ckpt")
            elif value is not None or self._has_no_value(epoch_of(path)):
                path.unlink()

    def _has_no_value(self, epoch: int) -> bool:
        """Whether an epoch without a value will never have one."""
        of_relaxation = self.key.startswith("relax/")
        if of_relaxation and self.relax.gave_up(epoch):
            return True
        return self._logged(LOGGED if of_relaxation else self.key, epoch)  # no energy is logged when nothing converged

    def _logged(self, key: str, first: int = 0) -> bool:
        return any(epoch >= first and self.metrics.value(epoch, key) is not None for epoch in self.metrics.rows)

    def _report(self, trainer: Trainer) -> None:
        best = _candidates(trainer).parent / "best.ckpt"
        if best.exists() and math.isfinite(self.best):
            done = read_checkpoint(best)["epoch"] + 1
            line = f"best: {self.key} = {self.sign * self.best:g} after {done} epochs, {best}"
            print(line + (NONE_GOOD if self.sign * self.best == worst_of(self.key) else ""), flush=True)
        elif not self._logged(self.key):
            why = "metrics.csv has the keys that are"
            if self.key.startswith("val/"):
                why = f"it is every {trainer.check_val_every_n_epoch} epochs (trainer.check_val_every_n_epoch)"
            print(f"no best.ckpt: {self.key} has not been logged; {why}", flush=True)


def _candidates(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints" / "candidates"
