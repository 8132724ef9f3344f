"""Train a generator: `python train.py lambda=0.05 pooling=avg`; `--help` lists every key."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.entry import run
from configs.schema import plain
from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cryingan.training.run import Run


def train(config: DictConfig) -> dict[str, float] | float:
    """Train one model, or several together.

    Returns:
        The last value of every metric, or that of `objective`.

    Raises:
        CryinGANError: a setting, the structures or the checkpoint cannot be used, or training diverged.
    """
    from lightning.pytorch.utilities import rank_zero_only  # Lightning sets the level of its own messages, once

    from configs.models import name_after_model
    from configs.run_folder import use_own_folder
    from configs.sweeps import searches
    from cryingan.training.end_of_job import END_OF_JOB
    from cryingan.training.objective import objective_value, require_objective
    from cryingan.training.together import each_run, train_together

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # no advertisements
    if rank_zero_only.rank:  # of several processes that read the same structures, the first tells of them
        for room in ("cryingan.structures", "cryingan.models"):
            logging.getLogger(room).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")  # between Lightning and torch
    warnings.filterwarnings("ignore", ".*but have no `validation_step`")  # a model need not have one
    use_threads(config["threads"])
    name_after_model(config)
    use_own_folder(config)
    require_objective(config["objective"], config["callbacks"], searches())
    configs = each_run(config)
    with END_OF_JOB.watched():
        values = train_together(configs, prepare) if len(configs) > 1 else prepare(configs[0]).fit()
    if config["objective"] is None:
        return values
    return objective_value(config["objective"], [one["run_dir"] for one in configs])


def prepare(config: DictConfig, beside: Run | None = None, together: bool = False) -> Run:
    """Build a run from its config, and check it against the checkpoint that it resumes from.

    Args:
        config: the whole config.
        beside: a run of the same structures, to share them with.
        together: build a model that takes its steps together with those of other runs.
    """
    from configs.models import require_settings
    from configs.trainer import build_trainer, keep_former_best, require_strategy
    from cryingan.training.checkpoints import starting_point
    from cryingan.training.initial_weights import load_initial_weights
    from cryingan.training.run import Run, lightning_errors

    settings = plain(config)
    folder = Path(settings["run_dir"])
    checkpoint = starting_point(settings["resume"], folder)
    require_settings(settings["model"])
    data, model = build(settings, beside, together)
    if checkpoint is not None:
        origin = require_same_run(checkpoint, model, data, settings)
        keep_former_best(settings["callbacks"], checkpoint)
    else:
        origin = load_initial_weights(model, settings["init"]) if settings["init"] else None
    with lightning_errors():
        trainer = build_trainer(settings, folder, checkpoint, origin)
    require_strategy(settings["trainer"], trainer, model)
    # Converted here: Lightning would do it after loading the checkpoint, which would lose the last digits.
    run = Run(folder, trainer, trainer.precision_plugin.convert_module(model), data, checkpoint)
    if settings["trainer"]["capture"]:
        from cryingan.training.cuda_graphs import record_steps

        record_steps(run)
    return run


def require_same_run(checkpoint: Path, model: Any, data: Any, settings: dict[str, Any]) -> dict[str, str] | None:
    """Refuse a checkpoint of another run, before a logger continues it; return the origin of its first weights."""
    from cryingan.storage.checkpoint import read_checkpoint
    from cryingan.training.checkpoints import (
        keep_former_sampler,
        other_ways,
        require_epochs_left,
        require_same_model,
        require_same_settings,
    )
    from cryingan.training.initial_weights import require_same_origin

    require_same_model(checkpoint, model)
    precision, free = settings["trainer"]["precision"], getattr(model, "sampler_keys", ())
    require_same_settings(checkpoint, dict(model.hparams), precision, settings["resume"], free)
    keep_former_sampler(checkpoint, model)
    state = read_checkpoint(checkpoint).get(type(data).__qualname__)
    if state is not None:
        try:
            data.load_state_dict(state)
        except CryinGANError as error:
            raise CryinGANError(f"{error}; {other_ways(checkpoint, settings['resume'])}") from error
    require_epochs_left(checkpoint, settings["trainer"]["max_epochs"])
    return require_same_origin(checkpoint, settings["init"], settings["resume"])


def build(settings: dict[str, Any], beside: Run | None = None, together: bool = False) -> tuple[Any, Any]:
    """The data module and the model of a run; arguments as in `prepare`."""
    from configs.entry import instantiate

    data = beside.data.with_seed(settings["seed"]) if beside else instantiate(settings["data"], seed=settings["seed"])
    if not hasattr(data, "crystals"):
        raise CryinGANError(f"{settings['data']['_target_']} has no `crystals`: make it from data.module.StructureData")
    cell, species = data.crystals.cell.tolist(), list(data.crystals.species)
    node = settings["model"]
    if together:
        from cryingan.training.lockstep import replica_of

        node = node | {"_target_": replica_of(node["_target_"])}
    moved = {} if data.shift is None else {"shift": data.shift}
    model = instantiate(node, cell=cell, species=species, **moved)
    if "seed" not in model.hparams:
        raise CryinGANError(f"{node['_target_']} must save its hyper-parameters, `seed` among them")
    return data, model


def use_threads(threads: int | None) -> None:
    """Limit the CPU threads of PyTorch, where None leaves its choice, and let it keep the memory that it frees."""
    import torch

    from cryingan.devices import keep_freed_memory

    keep_freed_memory()
    if threads is not None:
        if threads < 1:
            raise CryinGANError(f"threads={threads}: it must be at least 1")
        torch.set_num_threads(threads)


if __name__ == "__main__":
    run("train", train)
