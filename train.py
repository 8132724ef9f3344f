"""Train CryinGAN: `python train.py lambda=0.05 pooling=avg`; `--help` lists every key."""

from __future__ import annotations

import logging
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
    from omegaconf import OmegaConf

    from cryingan.checkpoints import require_same_settings
    from cryingan.replace import make_folder, replace_file

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisements
    settings = plain(config)
    run_dir = Path(settings["run_dir"])
    checkpoint = starting_point(settings["resume"], run_dir)
    data, model = build(settings)
    if checkpoint is not None:
        require_same_settings(checkpoint, dict(model.hparams))
    trainer = build_trainer(config, run_dir, checkpoint)
    if trainer.is_global_zero:
        with replace_file(make_folder(run_dir) / "config.yaml") as file:
            file.write(OmegaConf.to_yaml(OmegaConf.create(settings)).encode())
    try:
        trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    finally:
        for logger in trainer.loggers:
            logger.close()
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def starting_point(resume: str, run_dir: Path) -> Path | None:
    """The checkpoint to go on from, or None for a new run."""
    from cryingan.checkpoints import newest_checkpoint
    from cryingan.errors import CryinGANError

    found = newest_checkpoint(run_dir / "checkpoints")
    if resume == "auto":
        return found
    if resume != "never":
        return Path(resume)
    if found is not None:
        raise CryinGANError(f"{run_dir} already holds a run and resume=never; choose another run_dir or resume=auto")
    return None


def build(settings: dict[str, Any]) -> tuple[StructureData, CryinGAN]:
    """Structures and model of a run."""
    from cryingan.errors import CryinGANError
    from cryingan.gan import CryinGAN
    from data.module import StructureData

    weight, seed = settings["lambda"], settings["seed"]
    if weight < 0:
        raise CryinGANError(f"lambda={weight}: the weight of the distance discriminator is 0 or more")
    keys = {name: value for name, value in settings["data"].items() if name != "width"}
    data = StructureData(**keys, n_neighbors=settings["model"]["n_neighbors"] if weight else 0, seed=seed)
    crystals = data.crystals
    model = CryinGAN(
        crystals.cell.tolist(),
        list(crystals.species),
        distance_weight=weight,
        pooling=settings["pooling"],
        seed=seed,
        **settings["model"],
    )
    return data, model


def build_trainer(config: DictConfig, run_dir: Path, checkpoint: Path | None) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of the config."""
    from hydra.utils import instantiate
    from lightning import Trainer

    from callbacks.metrics_csv import MetricsCSV
    from callbacks.wandb_run import WandbRun
    from cryingan.checkpoints import AtomicCheckpointIO

    run_id = WandbRun.saved_id(checkpoint)
    loggers = [instantiate(node, id=run_id) for node in config["logger"].values()]
    callbacks = [instantiate(node) for node in config["callbacks"].values()]
    return Trainer(
        **plain(config["trainer"]),
        default_root_dir=run_dir,
        logger=[MetricsCSV(run_dir), *loggers],
        callbacks=[WandbRun(plain(config)), *callbacks],
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        inference_mode=True,
    )


if __name__ == "__main__":
    run("train", train_schema, train)
