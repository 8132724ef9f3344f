"""The settings of a CryinGAN: their defaults, which are the paper's, and their ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum

from cryingan.errors import CryinGANError


class Pooling(StrEnum):
    """How the features of the atoms of one species become one vector."""

    avg = "avg"
    max = "max"
    mix = "mix"  # maximum and average, side by side


class WarmStart(StrEnum):
    """What a generator begins with."""

    none = "none"  # nothing, as in the paper
    linear = "linear"  # the structures of the linear model of the training set; for sets that share most of their sites


@dataclass
class AdversarialSettings:
    """The generator and the training of a CryinGAN, whatever its discriminators are.

    Plain values, importable without torch: a subclass is the schema of its configuration in the group `model` and the
    argument of its model. The defaults are those of the Dismai-Bench paper (Supplementary Information).

    Attributes:
        n_neighbors: k, neighbours per atom.
        latent_dim: length of the noise vector.
        channels: channels per atom of the generator's first layer.
        generator_widths: channels of its following layers.
        head_widths: widths of a discriminator's layers after pooling.
        outputs: length of a discriminator's output.
        generator_learning_rate: Adam's learning rate.
        betas: Adam's decay rates.
        schedule_epochs: epochs after which the learning rates are multiplied by `schedule_factor`.
        schedule_factor: see `schedule_epochs`.
        penalty_weight: weight of the gradient penalty.
        generator_interval: the generator steps on batches 0, n, 2n, ... of an epoch.
        warm_start: what the generator begins with.
        components: of the linear model of a warm start, at most `latent_dim`; None: as many as hold 85 % of the
            variance of the displacements.
        ema: decay of the exponential moving average of the generator that samples come from; 0: none.
        seed: every random number follows from it.

    Raises:
        CryinGANError: a value is out of range.
    """

    n_neighbors: int = 6
    latent_dim: int = 64
    channels: int = 128
    generator_widths: list[int] = field(default_factory=lambda: [256, 512, 256])
    head_widths: list[int] = field(default_factory=lambda: [1000, 200])
    outputs: int = 10
    generator_learning_rate: float = 5e-5
    betas: list[float] = field(default_factory=lambda: [0.5, 0.999])
    schedule_epochs: int = 100_000
    schedule_factor: float = 0.95
    penalty_weight: float = 10.0
    generator_interval: int = 5
    warm_start: WarmStart = WarmStart.none
    components: int | None = None
    ema: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise CryinGANError(f"model.betas={self.betas}: it must be two decay rates, at least 0 and less than 1")
        if self.components is not None and self.warm_start == WarmStart.none:
            raise CryinGANError(f"model.components={self.components}: only model.warm_start=linear has components")
        if self.components is not None and self.components > self.latent_dim:
            raise CryinGANError(
                f"model.components={self.components}: it must be at most model.latent_dim={self.latent_dim}"
            )
        for one in fields(self):
            value = getattr(self, one.name)
            numbers = value if isinstance(value, list | tuple) else [value]
            least = one.metadata.get("least", 1)
            if value is None or one.name == "seed" or "int" not in one.type:
                continue
            if not numbers or min(numbers) < least:
                raise CryinGANError(f"model.{one.name}={value}: it must be at least {least}")


@dataclass
class ModelSettings(AdversarialSettings):
    """The settings of `cryingan.models.cryingan.gan.CryinGAN`, besides those of every adversarial model.

    Attributes:
        distance_weight: lambda, the weight of the distance discriminator; with 0 it is not built.
        sites: whether discriminators know which site every atom belongs to, and see its displacement from there in
            Angstrom in place of its coordinates; with a warm start from the linear model.
        pooling: of the distance discriminator; with `distance_weight` 0 of the coordinate discriminator.
        coordinate_pooling: of the coordinate discriminator, in place of what follows from `pooling`.
        distance_pooling: of the distance discriminator, in place of `pooling`.
        discriminator_widths: channels of the layers before pooling.
        coordinate_learning_rate: Adam's learning rate of the coordinate discriminator.
        distance_learning_rate: likewise, of the distance discriminator.
        refine_steps: of samples, at most, uphill in the score of both discriminators together, to the mean score of
            the training structures; 0: samples are as the generator makes them.

    Raises:
        CryinGANError: a value is out of range.
    """

    distance_weight: float = 0.05
    sites: bool = False
    pooling: Pooling = Pooling.avg
    coordinate_pooling: Pooling | None = None
    distance_pooling: Pooling | None = None
    discriminator_widths: list[int] = field(default_factory=lambda: [512, 512, 256])
    coordinate_learning_rate: float = 5e-5
    distance_learning_rate: float = 5e-5
    refine_steps: int = field(default=0, metadata={"least": 0})

    def __post_init__(self) -> None:
        if not 0 <= self.distance_weight < math.inf:
            raise CryinGANError(
                f"lambda={self.distance_weight}: the weight of the distance discriminator must be a number, 0 or more"
            )
        if self.sites and self.warm_start != WarmStart.linear:
            raise CryinGANError("model.sites=True: only with model.warm_start=linear are there sites")
        super().__post_init__()

    @property
    def paired(self) -> bool:
        """Whether there is a distance discriminator."""
        return self.distance_weight > 0

    @property
    def poolings(self) -> dict[str, str]:
        """The pooling of each discriminator, by its name."""
        coordinates = self.coordinate_pooling or (Pooling.avg if self.paired else self.pooling)
        distances = {"distances": self.distance_pooling or self.pooling} if self.paired else {}
        return {"coordinates": str(coordinates), **{name: str(pooling) for name, pooling in distances.items()}}
