"""Train CryinGAN: `python train.py lambda=0.05 pooling=avg`; `--help` lists every key."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from configs.schema import plain, train_schema

if TYPE_CHECKING:
    from lightning import Trainer
    from omegaconf import DictConfig

    from cryingan.models.cryingan.gan import CryinGAN
    from data.module import StructureData


def train(config: DictConfig) -> dict[str, float]:
    """Train as the config says, one model or several together; the last value of every metric comes back.

    Raises:
        CryinGANError: a setting, the structures or the checkpoint to go on from cannot be used, or training diverged.
    """
    import lightning.pytorch  # noqa: F401, it sets the level of its own messages

    from cryingan.training.together import each_run, train_together

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisements
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")  # Lightning's own business with torch
    use_threads(config["threads"])
    configs = each_run(config)
    return train_together(configs, prepare) if len(configs) > 1 else prepare(configs[0]).fit()


def use_threads(threads: int | None) -> None:
    """Limit the CPU threads of PyTorch; None leaves its choice."""
    import torch

    from cryingan.errors import CryinGANError

    if threads is not None:
        if threads < 1:
            raise CryinGANError(f"threads={threads}: it must be at least 1")
        torch.set_num_threads(threads)


@dataclass
class Run:
    """One training, ready to begin or to go on from a checkpoint."""

    folder: Path
    trainer: Trainer
    model: CryinGAN
    data: StructureData
    checkpoint: Path | None

    def fit(self) -> dict[str, float]:
        """Train, and close the loggers however it ends; the last value of every metric comes back."""
        from cryingan.storage.atomic import make_folder
        from cryingan.storage.locks import lock_folder

        with lightning_errors(), lock_folder(make_folder(self.folder), wanted=self.trainer.is_global_zero):
            try:
                self.trainer.fit(self.model, datamodule=self.data, ckpt_path=self.checkpoint)
            except SystemExit:
                print("stopped; the same command goes on after the last checkpoint, where there is one", flush=True)
                sys.exit(143 if self.trainer.received_sigterm else 130)
            finally:
                for logger in self.trainer.loggers:
                    logger.close()
        return {name: float(value) for name, value in self.trainer.callback_metrics.items()}


def prepare(config: DictConfig, model_class: type[CryinGAN] | None = None, beside: Run | None = None) -> Run:
    """Everything of a run, made as its config says and checked against the checkpoint that it goes on from.

    Args:
        config: the whole config.
        model_class: CryinGAN or a class made from it.
        beside: a run of the same structures, which are then shared.
    """
    from cryingan.training.checkpoints import require_same_settings, starting_point

    settings = plain(config)
    folder = Path(settings["run_dir"])
    checkpoint = starting_point(settings["resume"], folder)
    data, model = build(settings, model_class, beside and beside.data)
    if checkpoint is not None:
        require_same_settings(checkpoint, dict(model.hparams), settings["trainer"]["precision"])
    with lightning_errors():
        trainer = build_trainer(config, folder, checkpoint)
    # Lightning would do this after it has loaded the checkpoint, whose last digits would be lost.
    run = Run(folder, trainer, trainer.precision_plugin.convert_module(model), data, checkpoint)
    if settings["trainer"]["capture"]:
        record_steps(run)
    return run


def record_steps(run: Run) -> None:
    """Replay the training steps from recordings."""
    from cryingan.errors import CryinGANError
    from cryingan.training.cuda_graphs import Replay

    if run.trainer.strategy.root_device.type != "cuda" or run.trainer.world_size > 1:
        raise CryinGANError("trainer.capture=true needs one GPU: trainer.accelerator=gpu trainer.devices=1")
    warnings.filterwarnings("ignore", ".*came with capturable=True")  # the first steps run before there is a recording
    run.model.run_step = Replay()


@contextmanager
def lightning_errors() -> Iterator[None]:
    """What Lightning says of settings that it refuses, on one line."""
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from cryingan.errors import CryinGANError

    try:
        yield
    except MisconfigurationException as error:
        raise CryinGANError(" ".join(str(error).split())) from error


def build(
    settings: dict[str, Any], model_class: type[CryinGAN] | None = None, like: StructureData | None = None
) -> tuple[StructureData, CryinGAN]:
    """Structures and model of a run; `model_class` and `like` as in `prepare`."""
    from cryingan.errors import CryinGANError
    from cryingan.models.cryingan.gan import CryinGAN
    from data.module import StructureData

    weight, seed = settings["lambda"], settings["seed"]
    if not 0 <= weight < math.inf:
        raise CryinGANError(f"lambda={weight}: the weight of the distance discriminator is a number, 0 or more")
    for name, value in settings["model"].items():
        if (isinstance(value, int) and value < 1) or value == []:
            raise CryinGANError(f"model.{name}={value}: it must be at least 1")
    keys = {name: value for name, value in settings["data"].items() if name != "width"}
    neighbors = settings["model"]["n_neighbors"] if weight else 0
    data = like.with_seed(seed) if like else StructureData(**keys, n_neighbors=neighbors, seed=seed)
    cell, species = data.crystals.cell.tolist(), list(data.crystals.species)
    make = model_class or CryinGAN
    return data, make(cell, species, weight, settings["pooling"], seed=seed, **settings["model"])


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
    from cryingan.training.checkpoints import AtomicCheckpointIO
    from cryingan.training.precision import use_precision

    keys = plain(config["trainer"])
    if keys["accelerator"] == "auto":  # Lightning would take Apple's, which knows no float64
        keys["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    keys["precision"] = use_precision(keys["precision"], keys["accelerator"])
    max_time, _ = keys.pop("max_time"), keys.pop("capture")
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
