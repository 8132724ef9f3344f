"""Train CryinGAN: `python train.py lambda=0.05 pooling=avg`; `--help` lists every key."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from cryingan.schema import plain, train_schema

if TYPE_CHECKING:
    from lightning import Trainer
    from omegaconf import DictConfig

    from cryingan.gan import CryinGAN
    from data.module import StructureData


def train(config: DictConfig) -> dict[str, float]:
    """Train one model as the config says; the last value of every metric comes back.

    Raises:
        CryinGANError: a setting, the structures or the checkpoint to go on from cannot be used, or training diverged.
    """
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from cryingan.checkpoints import require_same_settings, starting_point
    from cryingan.errors import CryinGANError
    from cryingan.replace import lock_folder, make_folder

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisements
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")  # Lightning's own business with torch
    settings = plain(config)
    use_threads(settings["threads"])
    run_dir = Path(settings["run_dir"])
    checkpoint = starting_point(settings["resume"], run_dir)
    data, model = build(settings)
    if checkpoint is not None:
        require_same_settings(checkpoint, dict(model.hparams))
    try:
        trainer = build_trainer(config, run_dir, checkpoint)
        with lock_folder(make_folder(run_dir), wanted=trainer.is_global_zero):
            fit(trainer, model, data, checkpoint)
    except MisconfigurationException as error:
        raise CryinGANError(" ".join(str(error).split())) from error
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def use_threads(threads: int | None) -> None:
    """Limit the CPU threads of PyTorch; None leaves its choice."""
    import torch

    from cryingan.errors import CryinGANError

    if threads is not None:
        if threads < 1:
            raise CryinGANError(f"threads={threads}: it must be at least 1")
        torch.set_num_threads(threads)


def fit(trainer: Trainer, model: CryinGAN, data: StructureData, checkpoint: Path | None) -> None:
    """Train, and close the loggers however it ends."""
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    except SystemExit:
        print("stopped; the same command goes on after the last checkpoint", flush=True)
        sys.exit(143 if trainer.received_sigterm else 130)
    finally:
        for logger in trainer.loggers:
            logger.close()


def build(settings: dict[str, Any]) -> tuple[StructureData, CryinGAN]:
    """Structures and model of a run."""
    from cryingan.errors import CryinGANError
    from cryingan.gan import CryinGAN
    from data.module import StructureData

    weight, seed = settings["lambda"], settings["seed"]
    if not 0 <= weight < math.inf:
        raise CryinGANError(f"lambda={weight}: the weight of the distance discriminator is a number, 0 or more")
    for name, value in settings["model"].items():
        if (isinstance(value, int) and value < 1) or value == []:
            raise CryinGANError(f"model.{name}={value}: it must be at least 1")
    keys = {name: value for name, value in settings["data"].items() if name != "width"}
    data = StructureData(**keys, n_neighbors=settings["model"]["n_neighbors"] if weight else 0, seed=seed)
    cell, species = data.crystals.cell.tolist(), list(data.crystals.species)
    model = CryinGAN(cell, species, weight, settings["pooling"], seed=seed, **settings["model"])
    return data, model


def build_trainer(config: DictConfig, run_dir: Path, checkpoint: Path | None) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of the config."""
    import torch
    from hydra.utils import instantiate
    from lightning import Trainer
    from lightning.fabric.plugins.environments import SLURMEnvironment

    from callbacks.metrics_csv import MetricsCSV
    from callbacks.settings_file import SettingsFile
    from callbacks.time_limit import TimeLimit
    from callbacks.wandb_run import WandbRun
    from cryingan.checkpoints import AtomicCheckpointIO

    keys = plain(config["trainer"])
    if keys["accelerator"] == "auto":  # Lightning would take Apple's, which knows no float64
        keys["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    max_time = keys.pop("max_time")
    run_id = WandbRun.saved_id(checkpoint, run_dir)
    return Trainer(
        **keys,
        default_root_dir=run_dir,
        logger=[MetricsCSV(run_dir), *(instantiate(node, id=run_id) for node in config["logger"].values())],
        callbacks=[
            *([TimeLimit(max_time)] if max_time else []),  # first: the others ask whether this epoch is the last
            WandbRun(plain(config)),
            *(instantiate(node) for node in config["callbacks"].values()),
            SettingsFile(plain(config)),
        ],
        plugins=[AtomicCheckpointIO(), *([SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else [])],
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


if __name__ == "__main__":
    run("train", train_schema, train)
