"""Lightning's trainer of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Trainer

from callbacks.metrics_csv import MetricsCSV
from callbacks.settings_file import SettingsFile
from callbacks.time_limit import TimeLimit
from callbacks.wandb_run import WandbRun
from configs.entry import instantiate
from cryingan.devices import resolve_accelerator
from cryingan.training.checkpoints import AtomicCheckpointIO
from cryingan.training.precision import use_precision
from cryingan.training.slurm import cluster_environment


def build_trainer(settings: dict[str, Any], folder: Path, checkpoint: Path | None) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of the config, and those that every run has.

    Args:
        settings: the whole config, plain values.
        folder: the run folder.
        checkpoint: where the run resumes; None for a new run.

    Raises:
        CryinGANError: a callback or a logger cannot be built, or the device is not there.
    """
    keys = dict(settings["trainer"])
    max_time, _ = keys.pop("max_time"), keys.pop("capture")
    keys["accelerator"] = resolve_accelerator(keys["accelerator"])
    keys["precision"] = use_precision(keys["precision"], keys["accelerator"])
    environment = cluster_environment(keys["devices"], keys["num_nodes"])
    loggers = list(instantiate(settings["logger"]).values())
    WandbRun.resume(loggers, checkpoint, folder)
    return Trainer(
        **keys,
        default_root_dir=folder,
        logger=[MetricsCSV(folder), *loggers],
        callbacks=[
            *([TimeLimit(max_time)] if max_time else []),  # first: it decides whether this epoch is the last
            WandbRun(),
            *instantiate(settings["callbacks"]).values(),
            SettingsFile(settings),  # last: a start that is refused keeps the old config.yaml
        ],
        plugins=[AtomicCheckpointIO(), *([environment] if environment else [])],
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
