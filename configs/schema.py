"""The types of the keys in configs/: a misspelt key or a value of another type is refused before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import MISSING, DictConfig, EnumNode, FloatNode, IntegerNode, ListConfig, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException

from cryingan.errors import CryinGANError
from cryingan.evaluation.settings import BENCHMARKS
from cryingan.potentials.settings import POTENTIALS
from cryingan.relaxation.settings import RelaxSettings


class Choice(Enum):
    """A choice reads as its name where a config puts it into a text, such as the name of a run."""

    def __str__(self) -> str:
        return self.name


class Pooling(Choice):
    """The names of `cryingan.models.cryingan.networks.Pooling`, here without importing torch."""

    avg = "avg"
    max = "max"
    mix = "mix"


Precision = Choice("Precision", {name: name for name in ("32-true", "32-strict", "64-true", "bf16-mixed")})


class Format(Choice):
    """The formats that `cryingan.structures.files.write_structures` knows."""

    extxyz = "extxyz"
    cif = "cif"
    poscar = "poscar"


@dataclass
class DataKeys:
    """Group data: `data.module.StructureData`."""

    path: str = MISSING
    card: str | None = None
    width: str = "wide"
    sort_species: bool = False
    validation: float = 0.2
    split_seed: int = 0
    batch_size: int = 32


@dataclass
class ModelKeys:
    """Group model: `cryingan.models.cryingan.gan.CryinGAN`."""

    coordinate_pooling: Pooling | None = None
    distance_pooling: Pooling | None = None
    n_neighbors: int = 6
    latent_dim: int = 64
    channels: int = 128
    generator_widths: list[int] = field(default_factory=lambda: [256, 512, 256])
    discriminator_widths: list[int] = field(default_factory=lambda: [512, 512, 256])
    head_widths: list[int] = field(default_factory=lambda: [1000, 200])
    outputs: int = 10
    generator_learning_rate: float = 5e-5
    coordinate_learning_rate: float = 5e-5
    distance_learning_rate: float = 5e-5
    betas: list[float] = field(default_factory=lambda: [0.5, 0.999])
    schedule_epochs: int = 100_000
    schedule_factor: float = 0.95
    penalty_weight: float = 10.0
    generator_interval: int = 5


@dataclass
class TrainerKeys:
    """Group trainer: `lightning.Trainer`."""

    max_epochs: int = MISSING
    max_time: str | None = None
    accelerator: str = MISSING
    devices: Any = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Precision = Precision["32-true"]
    check_val_every_n_epoch: int = 1
    limit_train_batches: Any = None
    capture: bool = False


def train_schema() -> DictConfig:
    """Types of configs/train.yaml; `lambda` is a Python keyword, so no dataclass can hold it."""
    return DictConfig(
        {
            "lambda": FloatNode(0.05, is_optional=False),
            "pooling": EnumNode(Pooling, Pooling.avg, is_optional=False),
            "seed": IntegerNode(1, is_optional=False),
            "replicas": IntegerNode(1, is_optional=False),
            "lambdas": ListConfig([], element_type=float, is_optional=False),
            "threads": IntegerNode(None),
            "run_dir": StringNode(MISSING, is_optional=False),
            "resume": StringNode("auto", is_optional=False),
            "data": OmegaConf.structured(DataKeys),
            "model": OmegaConf.structured(ModelKeys),
            "trainer": OmegaConf.structured(TrainerKeys),
            "callbacks": {},
            "potential": None,
            "relax": OmegaConf.structured(RelaxSettings),
            "logger": {},
        }
    )


def sample_schema() -> DictConfig:
    """Types of configs/sample.yaml."""
    return DictConfig(
        {
            "checkpoint": StringNode(None),
            "upstream": StringNode(None),
            "reference": StringNode(None),
            "n": IntegerNode(1000, is_optional=False),
            "seed": IntegerNode(1, is_optional=False),
            "format": EnumNode(Format, Format.extxyz, is_optional=False),
            "output": StringNode("samples", is_optional=False),
            "device": StringNode("auto", is_optional=False),
            "batch_size": IntegerNode(256, is_optional=False),
            "structures": StringNode(None),
            "training": StringNode(None),
            "thresholds": ListConfig([0.0, -0.2], element_type=float, is_optional=False),
            "repair_distance": FloatNode(1.5, is_optional=False),
            "cache": StringNode(None),
            "pictures": IntegerNode(3, is_optional=False),
            "potential": None,
            "evaluate": None,
            "relax": DictConfig(None, ref_type=RelaxSettings),
        }
    )


def evaluate_schema() -> DictConfig:
    """Types of configs/evaluate.yaml."""
    return DictConfig(
        {
            "structures": StringNode(None),
            "reference": StringNode(None),
            "benchmark": None,
            "original": IntegerNode(None),
            "output": StringNode("evaluation", is_optional=False),
            "processes": IntegerNode(None),
            "wandb": StringNode(None),
            "compare": ListConfig([], element_type=str, is_optional=False),
        }
    )


def plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain Python values, with enums as their names: what checkpoints and loggers may hold."""
    for group, kinds in (("potential", POTENTIALS), ("benchmark", BENCHMARKS), ("evaluate", BENCHMARKS)):
        if config.get(group) is not None:
            _check_group(group, config[group], kinds)
    return OmegaConf.to_container(config, resolve=True, enum_to_str=True, throw_on_missing=True)


def _check_group(name: str, group: DictConfig, kinds: dict[str, type]) -> None:
    """Check the types of a group whose keys depend on its kind, so that Hydra does not know them."""
    try:
        OmegaConf.merge(OmegaConf.structured(kinds[group.kind]), group)
    except OmegaConfBaseException as error:
        raise CryinGANError(f"{name}.{error.full_key}: {error.msg.splitlines()[0]}") from error
