"""Settings of the training that models from noise to structures share; plain values, importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from cryingan.errors import CryinGANError


class Schedule(StrEnum):
    """How the learning rate falls."""

    plateau = "plateau"  # by a factor whenever val/loss has not fallen for a while
    constant = "constant"  # it does not
    cosine = "cosine"  # as half a wave from first to last epoch, so that a short training ends settled


@dataclass
class DenoiserSettings:
    """How a network learns to remove noise.

    Attributes:
        learning_rate: Adam's learning rate at first.
        least_learning_rate: the lowest one.
        schedule: how it falls.
        patience: validations without a lower loss after which a plateau multiplies the learning rate by `factor`.
            The paper counts 30 epochs, of which one in five has a validation.
        factor: see `patience`.
        clip: largest magnitude of a gradient's component; 0: any.
        ema: decay of the exponential moving average of the weights that samples come from; 0: none.
        seed: every random number follows from it.

    Raises:
        CryinGANError: a value is out of range.
    """

    learning_rate: float = 1e-3
    least_learning_rate: float = 1e-4
    schedule: Schedule = Schedule.plateau
    patience: int = 5
    factor: float = 0.6
    clip: float = 0.5
    ema: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        self._require("patience", self.patience >= 1, "at least 1")
        self._require("factor", 0 < self.factor <= 1, "more than 0 and at most 1")
        self._require("clip", self.clip >= 0, "at least 0")
        for name in ("learning_rate", "least_learning_rate"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a number greater than 0")

    def _require(self, name: str, fulfilled: bool, words: str) -> None:
        if not fulfilled:
            raise CryinGANError(f"model.{name}={getattr(self, name)}: it must be {words}")
