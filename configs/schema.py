"""Types of the keys in configs/: misspelt keys and values of another type are refused before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from omegaconf import MISSING, DictConfig, EnumNode, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from cryingan.energies.fractions import N_TRAINING
from cryingan.errors import CryinGANError
from cryingan.evaluation.settings import BENCHMARKS
from cryingan.models.cryingan.settings import ModelSettings, Pooling
from cryingan.models.registry import MODELS
from cryingan.potentials.settings import POTENTIALS
from cryingan.relaxation.settings import REPAIR_DISTANCE, RelaxSettings
from cryingan.storage.paths import home_expanded
from data.rivals import RIVALS
from data.settings import DataSettings


class Choice(Enum):
    """Choices that format as their names, as in the name of a run."""

    def __str__(self) -> str:
        return self.name


Precision = Choice("Precision", {name: name for name in ("32-true", "32-strict", "64-true", "bf16-mixed")})


LinearAlgebra = Choice("LinearAlgebra", {name: name for name in ("auto", "mkl", "onednn")})


class Format(Choice):
    """The formats that `cryingan.structures.files.write_structures` knows."""

    extxyz = "extxyz"
    cif = "cif"
    poscar = "poscar"


Rival = Choice("Rival", {name: name for name in RIVALS})


@dataclass
class TrainerKeys:
    """Group trainer: `lightning.Trainer`."""

    max_epochs: int = 100_000
    max_time: str | None = None
    accelerator: str = "auto"
    devices: Any = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Precision = Precision["32-true"]
    check_val_every_n_epoch: int = 10
    limit_train_batches: Any = None
    capture: bool = False
    linear_algebra: LinearAlgebra = LinearAlgebra.auto


DATA = {"data.module.StructureData": DataSettings}
CHOSEN_BY = {
    "data": DATA,
    "model": dict(MODELS.values()),
    "potential": POTENTIALS,
    "benchmark": BENCHMARKS,
    "evaluate": BENCHMARKS,
}
"""Settings classes of the groups whose keys depend on `_target_` or `kind`; classes of users check their own keys."""


def train_schema() -> DictConfig:
    """Types of configs/train.yaml; not a dataclass, because `lambda` is a Python keyword."""
    return DictConfig(
        {
            "lambda": FloatNode(ModelSettings.distance_weight, is_optional=False),
            "pooling": EnumNode(Pooling, ModelSettings.pooling, is_optional=False),
            "seed": IntegerNode(ModelSettings.seed, is_optional=False),
            "replicas": IntegerNode(1, is_optional=False),
            "lambdas": ListConfig([], element_type=float, is_optional=False),
            "threads": IntegerNode(None),
            "run_dir": StringNode(MISSING, is_optional=False),
            "resume": StringNode("auto", is_optional=False),
            "init": StringNode(None),
            "objective": StringNode(None),
            "data": None,
            "model": None,
            "trainer": OmegaConf.structured(TrainerKeys),
            "callbacks": {},
            "potential": None,
            "relax": OmegaConf.structured(RelaxSettings),
            "logger": {},
        }
    )


@dataclass
class SampleKeys:
    """Types of configs/sample.yaml."""

    checkpoint: str | None = None
    upstream: str | None = None
    reference: str | None = None
    rival: Rival | None = None
    model: Any = None
    data: Any = None
    n: int = 1000
    seed: int = 1
    format: Format = Format.extxyz
    output: str = "samples"
    device: str = "auto"
    batch_size: int | None = None
    temperature: float = 1.0
    best_of: int = 1
    sampler: dict[str, Any] = field(default_factory=dict)
    structures: str | None = None
    types: list[str] = field(default_factory=list)
    training: str | None = None
    thresholds: list[float] | None = None
    repair_distance: float = REPAIR_DISTANCE
    n_training: int = N_TRAINING
    cache: str | None = None
    pictures: int = 3
    potential: Any = None
    evaluate: Any = None
    relax: RelaxSettings | None = None


@dataclass
class EvaluateKeys:
    """Types of configs/evaluate.yaml."""

    structures: str | None = None
    reference: str | None = None
    benchmark: Any = None
    types: list[str] = field(default_factory=list)
    original: int | None = None
    output: str = "evaluation"
    processes: int | None = None
    wandb: str | None = None
    compare: list[str] = field(default_factory=list)
    report: str | None = None


SCHEMAS = {"train": train_schema, "sample": SampleKeys, "evaluate": EvaluateKeys}
"""The types of each script's keys, in its defaults list as NAME_schema."""


def plain(config: DictConfig) -> dict[str, Any]:
    """Convert a config to plain Python values, enums to their names, as checkpoints and loggers need them.

    Raises:
        CryinGANError: a value of a group has the wrong type.
    """
    values = _at_home(OmegaConf.to_container(config, resolve=True, enum_to_str=True, throw_on_missing=True))
    for group, settings in CHOSEN_BY.items():
        if (node := values.get(group)) and (kind := node.get("kind", node.get("_target_"))) in settings:
            values[group] = _typed(group, node, settings[kind])
    return values


def _at_home(value: Any) -> Any:
    """Plain values with the `~` that a text begins with expanded, in lists and mappings too."""
    if isinstance(value, dict):
        return {key: _at_home(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_at_home(one) for one in value]
    return home_expanded(value) if isinstance(value, str) else value


def _typed(group: str, node: dict[str, Any], settings: type) -> dict[str, Any]:
    """Check the types of a group whose keys depend on its kind or target, which Hydra does not know."""
    keys = {key: value for key, value in node.items() if key != "_target_"}
    try:
        typed = OmegaConf.to_container(OmegaConf.merge(OmegaConf.structured(settings), keys), enum_to_str=True)
    except OmegaConfBaseException as error:
        value = keys.get(error.full_key)
        types = {one.name: str(one.type) for one in fields(settings)}
        if types.get(error.full_key, "").startswith("list") and not isinstance(value, list):
            raise CryinGANError(f"{group}.{error.full_key}={value}: it must be a list: [{value}]") from error
        raise CryinGANError(f"{group}.{error.full_key}: {error.msg.splitlines()[0]}") from error
    return {key: typed.get(key, value) for key, value in node.items()}
