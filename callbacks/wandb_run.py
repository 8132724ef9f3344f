"""Weights & Biases: one run per run folder, online or offline, continued when training resumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from callbacks.wandb_guard import GuardedRun
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.storage.fraction_keys import mode_of
from cryingan.storage.text import in_one_line

RUN_ID = "wandb_run_id"
SECONDS_TO_CONNECT = 30
SECONDS_TO_FINISH = 600  # for what is not sent yet when a run ends; it stays on the disk, for `wandb sync`
LONGEST_TAG, LONGEST_GROUP = 64, 128  # W&B refuses longer ones
ARTIFACTS = ("references", "files")
INTERVAL = ("_low", "_high")


class WandbRun(Callback):
    """Begins the W&B run, stores its id in checkpoints, and makes the epoch the axis of all plots.

    Placed after the callbacks that may refuse a start. Logs nothing itself, and does nothing without a W&B logger.
    """

    @staticmethod
    def resume(loggers: list[Logger], checkpoint: Path | None, run_dir: Path) -> None:
        """Continue the W&B run of a checkpoint in this run folder; one of another folder starts a new run.

        Nothing reaches W&B before training begins: a start that is refused leaves its runs as they are, and so does a
        run that has all its epochs.
        """
        ours = [logger for logger in loggers if isinstance(logger, ClosingWandbLogger)]
        for logger in ours:
            logger.waiting = True
        if ours and checkpoint is not None and checkpoint.resolve().is_relative_to(run_dir.resolve()):
            run_id = read_checkpoint(checkpoint).get(RUN_ID)
            for logger in ours:
                logger.continue_run(run_id)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        begin_wandb(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the id."""
        for logger in trainer.loggers if trainer.is_global_zero else []:
            if isinstance(logger, WandbLogger) and (run_id := _run_id(logger)):
                checkpoint[RUN_ID] = run_id


class ClosingWandbLogger(WandbLogger):
    """Lightning's logger, closing its W&B run at the end, so that the next job of a sweep gets a run of its own.

    Nothing that happens to the run once it has begun ends a training (`callbacks.wandb_guard.GuardedRun`). The summary
    of the run has the best and the last value of each key of which it is clear whether high or low is good.
    """

    def __init__(self, artifacts: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._wandb_init.pop("anonymous")  # W&B warns of it even when it is None
        self.artifacts = artifacts
        self.failed = False
        self.waiting = False
        self.settings: dict[str, Any] = {}
        self.guarded: GuardedRun | None = None
        self.known: set[str] = set()

    def continue_run(self, run_id: str | None) -> None:
        """Continue the run of this id, before its first use; None starts a new one."""
        self._id = self._wandb_init["id"] = run_id

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Record settings in the run, once it has begun."""
        self.settings = params
        if not self.waiting:
            super().log_hyperparams(params)

    def begin(self) -> None:
        """Begin, or continue, the run, with the settings so far."""
        self.waiting = False
        log = super().log_hyperparams
        self.experiment.attempt(lambda _: log(self.settings))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, guarded; while `waiting`, what other processes have, which does nothing.

        Raises:
            CryinGANError: W&B cannot be reached.
        """
        import wandb

        if self.waiting:
            return DummyLogger().experiment
        if self.guarded is None:
            try:
                self.guarded = GuardedRun(super().experiment)
            except (wandb.errors.Error, OSError) as error:
                reason = in_one_line(error)
                raise CryinGANError(f"W&B: {reason}; logger.wandb.mode=offline works without a network") from error
        return self.guarded

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log; of a key that is new, say which of its values is the best."""
        for key in () if self.waiting else sorted(metrics.keys() - self.known):
            self.known.add(key)
            if not key.endswith(INTERVAL) and (mode := mode_of(key)):
                self.experiment.define_metric(key, step_metric="epoch", summary=f"{mode},last")
        super().log_metrics(metrics, step)

    def finalize(self, status: str) -> None:
        """Record how training ended."""
        self.failed = status != "success"
        super().finalize(status)

    def close(self) -> None:
        """Finish the run, as failed where training failed."""
        if self.guarded is not None:
            self.guarded.finish(exit_code=int(self.failed))


def wandb_logger(
    save_dir: str, mode: str | None = None, artifacts: str | None = "references", **settings: Any
) -> ClosingWandbLogger:
    """Build the logger of one run.

    Args:
        save_dir: the run folder; W&B keeps its files in `wandb/` there.
        mode: online, offline or disabled; None: as `chosen_mode` says.
        artifacts: what `callbacks.wandb_artifacts` does with checkpoints: `references` or `files`; None: no artifacts.
        settings: project, name, group, job_type and tags of the run.

    Raises:
        CryinGANError: `artifacts` is something else.
    """
    if artifacts not in (None, *ARTIFACTS):
        raise CryinGANError(f"logger.wandb.artifacts={artifacts}: use {', '.join(ARTIFACTS)} or null")
    mode = mode or chosen_mode()
    if mode == "disabled":
        print("W&B is switched off (logger.wandb.mode, WANDB_DISABLED or WANDB_MODE); metrics.csv has all values")
    import wandb

    # Online, W&B prints the address of the run; offline its messages are noise.
    behaviour = wandb.Settings(
        silent=mode != "online", init_timeout=SECONDS_TO_CONNECT, finish_timeout=SECONDS_TO_FINISH
    )
    settings["tags"] = [tag[:LONGEST_TAG] for tag in settings.get("tags", [])]
    if len(group := settings.get("group") or "") > LONGEST_GROUP:
        settings["group"] = f"{group[: LONGEST_GROUP - 9]}-{hashlib.sha256(group.encode()).hexdigest()[:8]}"
    settings |= {"save_dir": save_dir, "mode": mode, "settings": behaviour}
    artifacts = None if mode == "disabled" else artifacts
    # create_new: replicas keep several runs open.
    return ClosingWandbLogger(artifacts=artifacts, reinit="create_new", **settings)


def chosen_mode() -> str:
    """What WANDB_DISABLED or WANDB_MODE says, or else online when the user is logged in, and offline when not."""
    off = "disabled" if os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on", "t", "y") else None
    return off or os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")


def _run_id(logger: WandbLogger) -> str | None:
    """The id of the run; where W&B is switched off that of the run that another job may continue, if there is one."""
    run = logger.experiment
    return logger._wandb_init.get("id") if getattr(run, "disabled", False) else run.id


def _logged_in() -> bool:
    import wandb

    return bool(wandb.setup().settings.api_key) or wandb.login(prompt=False)


def begin_wandb(trainer: Trainer) -> None:
    """Begin, or continue, the W&B runs of a trainer, with epochs as the axis of all metrics."""
    for logger in trainer.loggers:
        if isinstance(logger, ClosingWandbLogger):
            logger.begin()
    for run in wandb_runs(trainer):
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")


def wandb_runs(trainer: Trainer) -> list[GuardedRun]:
    """The W&B runs of a trainer, in the first process; none with other loggers or in other processes."""
    if not trainer.is_global_zero:
        return []
    runs = [logger.experiment for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return [run if isinstance(run, GuardedRun) else GuardedRun(run) for run in runs]


def begun(trainer: Trainer) -> list[tuple[GuardedRun, str]]:
    """The W&B runs of this project's logger that have begun and have artifacts, and what these are."""
    ours = [logger for logger in trainer.loggers if isinstance(logger, ClosingWandbLogger)]
    return [(one.guarded, one.artifacts) for one in ours if one.guarded is not None and one.artifacts]
