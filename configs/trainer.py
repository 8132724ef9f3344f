"""Lightning's trainer of a config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import StrategyRegistry

from callbacks.finish_epoch import FinishEpoch
from callbacks.initial_weights import InitialWeights
from callbacks.linear_algebra import LinearAlgebra
from callbacks.metrics_csv import MetricsCSV
from callbacks.require_objective import RequireObjective
from callbacks.run_record import RunRecord
from callbacks.settings_file import SettingsFile
from callbacks.time_limit import TimeLimit
from callbacks.wandb_alerts import WandbAlerts
from callbacks.wandb_artifacts import WandbArtifacts
from callbacks.wandb_run import WandbRun
from configs.entry import instantiate
from configs.job import command_line, model_option
from configs.sweeps import in_sweep, stem
from cryingan.devices import resolve_accelerator
from cryingan.errors import CryinGANError
from cryingan.storage.fraction_keys import fraction_key
from cryingan.training.checkpoints import AtomicCheckpointIO, run_settings
from cryingan.training.precision import use_precision
from cryingan.training.slurm import cluster_environment

FORMER_BEST = fraction_key(0)


def build_trainer(
    settings: dict[str, Any], folder: Path, checkpoint: Path | None, origin: dict[str, str] | None = None
) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of the config, and those that every run has.

    Args:
        settings: the whole config, plain values.
        folder: the run folder.
        checkpoint: where the run resumes; None for a new run.
        origin: of the first weights, where they are those of another run.

    Raises:
        CryinGANError: a callback or a logger cannot be built, or the device is not there.
    """
    keys = dict(settings["trainer"])
    require_trainer(keys)
    require_counts(settings["callbacks"])
    max_time, library, _ = keys.pop("max_time"), keys.pop("linear_algebra"), keys.pop("capture")
    keys["accelerator"] = resolve_accelerator(keys["accelerator"])
    keys["precision"] = use_precision(keys["precision"], keys["accelerator"])
    environment = cluster_environment(keys["devices"], keys["num_nodes"])
    loggers = list(instantiate(settings["logger"]).values())
    WandbRun.resume(loggers, checkpoint, folder)
    trainer = Trainer(
        **keys,
        default_root_dir=folder,
        logger=[MetricsCSV(folder), *loggers],
        callbacks=_callbacks(settings, max_time, library, origin),
        plugins=[AtomicCheckpointIO(), *([environment] if environment else [])],
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    if in_sweep() and trainer.world_size > 1 and not trainer.strategy.cluster_environment.creates_processes_externally:
        raise CryinGANError(
            "a process that starts others (trainer=ddp) would start the whole sweep there: give each job its processes "
            "with hydra/launcher=slurm hydra.launcher.tasks_per_node=DEVICES, or without -m"
        )
    return trainer


def _callbacks(
    settings: dict[str, Any], max_time: str | None, library: str, origin: dict[str, str] | None
) -> list[Callback]:
    """The callbacks of the config among those that every run has."""
    # callbacks=none leaves settings of a model's preset behind, of callbacks that are not there.
    named = {name: keys for name, keys in settings["callbacks"].items() if "_target_" in keys}
    return [
        FinishEpoch(),  # first, with the next one: they decide whether this epoch is the last
        *([TimeLimit(max_time)] if max_time else []),
        *([InitialWeights(origin)] if origin else []),
        LinearAlgebra(library),
        *instantiate(named).values(),
        *([RequireObjective(settings["objective"])] if settings["objective"] else []),
        WandbRun(),
        WandbArtifacts(stem(str(settings["data"].get("path", "data")))),
        WandbAlerts(),
        SettingsFile(settings),  # behind all that may refuse a start, which keeps the old config.yaml
        RunRecord(command_line("train"), model_option()),
    ]


def keep_former_best(callbacks: dict[str, Any], checkpoint: Path) -> None:
    """Let a run keep what was the default when it began: thresholds, and `relax/fraction_below_0` as the best key."""
    former = run_settings(checkpoint).get("callbacks", {})
    if (relax := callbacks.get("relax")) is not None and relax.get("thresholds") is None:
        relax["thresholds"] = (former.get("relax") or {}).get("thresholds")
    before = former.get("best", {}).get("key")
    best = callbacks.get("best", {})
    if "relax" in callbacks and before == FORMER_BEST and best.get("key", before) is None:
        best["key"] = before


def require_strategy(keys: dict[str, Any], trainer: Trainer, model: LightningModule) -> None:
    """Refuse several devices for a model without weights, and a strategy that cannot train networks in turn.

    Raises:
        CryinGANError: says what can train the model.
    """
    if trainer.world_size > 1 and not any(weights.requires_grad for weights in model.parameters()):
        raise CryinGANError(
            f"trainer.devices={keys['devices']}: the model has no weights to train on several devices; leave out "
            "trainer=ddp, or set trainer.devices=1 trainer.num_nodes=1"
        )
    if trainer.world_size > 1 and keys["strategy"] in ("auto", "ddp") and not model.automatic_optimization:
        raise CryinGANError(
            f"trainer.strategy={keys['strategy']} cannot train networks in turn on several devices: "
            f"use trainer=ddp trainer.devices={str(keys['devices']).replace(' ', '')}"
        )


def require_trainer(keys: dict[str, Any]) -> None:
    """Refuse values of the group trainer that Lightning takes for something else, or refuses late.

    Raises:
        CryinGANError: names the key.
    """
    least = {"max_epochs": 0, "check_val_every_n_epoch": 1}
    for key, value in least.items():
        if keys[key] < value:
            raise CryinGANError(f"trainer.{key}={keys[key]}: it must be at least {value}")
    if keys["strategy"] not in ("auto", *StrategyRegistry.available_strategies()):
        raise CryinGANError(
            f"trainer.strategy={keys['strategy']}: Lightning has none; trainer=ddp is for several devices"
        )
    if keys["limit_train_batches"] == 0:
        raise CryinGANError("trainer.limit_train_batches=0 trains on nothing; null: all batches")
    if keys["max_time"] is not None and not re.fullmatch(r"\d+(:\d\d){3}", keys["max_time"]):
        raise CryinGANError(f"trainer.max_time={keys['max_time']}: it must be DD:HH:MM:SS; 00:11:30:00 is 11.5 hours")


def require_counts(callbacks: dict[str, Any]) -> None:
    """Refuse numbers of epochs or samples below 1, and callbacks without settings, before anything is trained.

    Raises:
        CryinGANError: names the callback and the key.
    """
    for name, node in callbacks.items():
        if node is None:
            raise CryinGANError(f"callbacks.{name}=null: to leave it out, write ~callbacks.{name}")
        for key in ("every_n_epochs", "n", "n_samples"):
            if isinstance(value := node.get(key, 1), int) and value < 1:
                raise CryinGANError(f"callbacks.{name}.{key}={value}: it must be at least 1")
