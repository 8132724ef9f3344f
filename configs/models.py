"""What follows from a model that is not a CryinGAN: names of its runs, and the class of a checkpoint."""

from __future__ import annotations

from dataclasses import fields
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from configs.job import given
from cryingan.errors import CryinGANError
from cryingan.models.registry import MODELS

if TYPE_CHECKING:
    from omegaconf import DictConfig

NAME = "lambda${lambda}_${pooling}"
"""Part of names in configs/, in place of which other models have their own name."""
NEEDS = {"lambda": "lambda", "pooling": "pooling", "lambdas": "lambda", "replicas": "lambda"}
"""Keys that not every model takes, and what the configuration of one that does refers to."""


def name_after_model(config: DictConfig) -> None:
    """Name folder and loggers' runs after a model that does not take lambda, and refuse keys that it does not take.

    Raises:
        CryinGANError: one of the keys is given.
    """
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(config["model"], resolve=False)
    missing = {key for key in NEEDS.values() if not any(f"${{{key}}}" in str(value) for value in node.values())}
    if "lambda" not in missing:
        return
    target = str(node.get("_target_"))
    name = next((kind for kind, entry in MODELS.items() if entry.target == target), target.rpartition(".")[2])
    if wrong := [key for key, needed in NEEDS.items() if needed in missing and key in given()]:
        raise CryinGANError(f"{wrong[0]}: the model {name} has none; leave it out, or take model=cryingan")
    own = name if "pooling" in missing else f"{name}_${{pooling}}"
    config["run_dir"] = OmegaConf.to_container(config, resolve=False)["run_dir"].replace(NAME, own)
    for logger in config["logger"].values():
        for key, value in OmegaConf.to_container(logger, resolve=False).items():
            logger[key] = _renamed(value, name, own, missing)


def _renamed(value: Any, name: str, own: str, missing: set[str]) -> Any:
    """A value of a logger for the model `name` whose runs are named `own`, without tags of keys that it lacks."""
    if isinstance(value, list):
        kept = [one for one in value if not any(f"${{{key}}}" in str(one) for key in missing)]
        return kept if len(kept) == len(value) else [*kept, f"model={name}"]
    return value.replace(NAME, own) if isinstance(value, str) else value


def require_settings(node: dict[str, Any]) -> None:
    """Check the settings of a model of the project before its structures are read, which may take long.

    Raises:
        CryinGANError: a value is out of range.
    """
    from cryingan.models.base import require_in_range

    for entry in MODELS.values():
        if entry.target == node["_target_"]:
            given = {one.name: node[one.name] for one in fields(entry.settings) if one.name in node}
            require_in_range(entry.settings(**given))


def own_class(config: DictConfig) -> type | None:
    """Take the class that a config of sample.py names for a checkpoint out of it; None where it names none.

    The model's other keys go, too: a checkpoint has its own, and they refer to keys of train.py.

    Raises:
        CryinGANError: there is no such class.
    """
    if (node := config["model"]) is None:
        return None
    target, config["model"] = node.get("_target_"), None
    try:
        found = resolve_name(str(target))
    except (ImportError, AttributeError, ValueError) as error:
        raise CryinGANError(f"model._target_={target}: {error}") from error
    if not isinstance(found, type):
        raise CryinGANError(f"model._target_={target}: it is no class")
    return found
