"""Settings of UniMat and CrysTens; their defaults are those of Dismai-Bench."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cryingan.models.denoiser_settings import DenoiserSettings, Schedule


class Order(StrEnum):
    """In which order the atoms of a structure stand in its image."""

    file = "file"  # that of the training structures' file
    sites = "sites"  # within each species that of the sites that the training structures share
    random = "random"  # within each species a new one at every step; the paper's Fig. S20


class Elements(StrEnum):
    """What UniMat does where an atom shows up in the place of another element."""

    strict = "strict"  # refuse the structure and draw another one in its place
    read = "read"  # read the coordinates from the place of the right element
    fixed = "fixed"  # tell every step of the sampler that the other places are empty


def _whole(values: list) -> bool:
    return all(isinstance(value, int) for value in values)  # true and false, too


@dataclass
class DiffusionSettings(DenoiserSettings):
    """A U-Net, its diffusion and its training; plain values, importable without torch.

    The moving average of the weights that samples come from reaches the decay `ema` slowly
    (`cryingan.models.unet.average.RisingAverage`).

    Attributes:
        width: channels of the first level, divisible by 8.
        multiples: channels of each level over `width`.
        blocks: residual blocks of each level, besides its first one.
        attention: whether a level has attention, between pixels and to the time.
        heads: of every attention.
        head_width: numbers in a head.
        order: in which order the atoms of a structure stand.
        steps: of the sampler, equal ones from noise to structures; the paper's figures S23 and S24 try 50, 100 and 150.

    Raises:
        CryinGANError: a value is out of range.
    """

    width: int = 64
    multiples: list[int] = field(default_factory=lambda: [1, 2, 4])
    blocks: list[int] = field(default_factory=lambda: [3, 3, 3])
    attention: list[bool] = field(default_factory=lambda: [False, True, True])
    heads: int = 8
    head_width: int = 64
    order: Order = Order.file
    steps: int = 100
    learning_rate: float = 1e-4
    schedule: Schedule = Schedule.constant
    clip: float = 0.0
    ema: float = 0.9999

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("heads", "head_width", "steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("width", self.width >= 8 and self.width % 8 == 0, "a multiple of 8")
        multiples = self.multiples
        self._require(
            "multiples", multiples and _whole(multiples) and min(multiples) >= 1, "a list of whole numbers from 1 up"
        )
        self._require_levels("blocks", self.blocks)
        self._require_levels("attention", self.attention)

    def _require_levels(self, name: str, values: list) -> None:
        self._require(name, len(values) == len(self.multiples), f"a list of {len(self.multiples)}, as model.multiples")
        words = "true or false each" if name.endswith("attention") else "whole numbers from 0 up"
        self._require(name, _whole(values) and min(values) >= 0, words)


@dataclass
class UniMatSettings(DiffusionSettings):
    """Settings of `cryingan.models.unet.unimat.UniMat`, besides those of the U-Net.

    Attributes:
        table: rows and columns of the table of elements, divisible by two for each level but the last.
        elements: what to do where an atom shows up in the place of another element.

    Raises:
        CryinGANError: a value is out of range.
    """

    table: int = 4
    elements: Elements = Elements.strict

    def __post_init__(self) -> None:
        super().__post_init__()
        divisor = 2 ** (len(self.multiples) - 1)
        self._require("table", self.table >= 1 and self.table % divisor == 0, f"a multiple of {divisor}")


@dataclass
class CrysTensSettings(DiffusionSettings):
    """Settings of `cryingan.models.unet.crystens.CrysTens`, besides those of the U-Net.

    Attributes:
        cascade: whether one network makes a small image and a second one, from it, that of full size; False: one
            network of full size, with `blocks` and `attention`.
        small_size: rows and columns of the small image, divisible by two for each level but the last.
        second_blocks: `blocks` of the second network.
        second_attention: `attention` of the second network.
        halve_first: whether levels of the network without a cascade halve the image before their blocks, as those of
            the second network do, for a third of the cost.

    Raises:
        CryinGANError: a value is out of range.
    """

    cascade: bool = True
    small_size: int = 64
    second_blocks: list[int] = field(default_factory=lambda: [2, 4, 8])
    second_attention: list[bool] = field(default_factory=lambda: [False, False, True])
    halve_first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cascade:
            divisor = 2 ** (len(self.multiples) - 1)
            self._require(
                "small_size", self.small_size >= 1 and self.small_size % divisor == 0, f"a multiple of {divisor}"
            )
            self._require_levels("second_blocks", self.second_blocks)
            self._require_levels("second_attention", self.second_attention)
