"""What a run's folder and names are where its model is not a CryinGAN, which alone has lambda and pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from configs.entry import given
from cryingan.errors import CryinGANError
from cryingan.models.registry import MODELS

if TYPE_CHECKING:
    from omegaconf import DictConfig

OF_CRYINGAN = "lambda${lambda}_${pooling}"
"""Part of names in configs/, in place of which other models have their own name."""
KEYS = ("lambda", "pooling", "lambdas", "replicas")


def name_after_model(config: DictConfig) -> None:
    """Name folder and loggers' runs after a model that takes neither lambda nor pooling, and refuse these keys for it.

    Raises:
        CryinGANError: one of the keys is given.
    """
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(config["model"], resolve=False)
    if any("${lambda}" in str(value) for value in node.values()):
        return
    target = str(node.get("_target_"))
    name = next((kind for kind, entry in MODELS.items() if entry.target == target), target.rpartition(".")[2])
    if wrong := [key for key in KEYS if key in given()]:
        raise CryinGANError(f"{wrong[0]}: the model {name} has none; leave it out, or take model=paper")
    config["run_dir"] = OmegaConf.to_container(config, resolve=False)["run_dir"].replace(OF_CRYINGAN, name)
    for logger in config["logger"].values():
        for key, value in OmegaConf.to_container(logger, resolve=False).items():
            logger[key] = _renamed(value, name)


def _renamed(value: Any, name: str) -> Any:
    if isinstance(value, list):
        kept = [one for one in value if "${lambda}" not in str(one) and "${pooling}" not in str(one)]
        return kept if len(kept) == len(value) else [*kept, f"model={name}"]
    return value.replace(OF_CRYINGAN, name) if isinstance(value, str) else value
