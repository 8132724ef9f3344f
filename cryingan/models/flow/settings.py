"""Settings of the flow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryingan.models.diffcsp.settings import NetworkSettings


class Prior(StrEnum):
    """Where the flow starts."""

    uniform = "uniform"  # atoms anywhere in the cell, paired with those of a structure within their species
    linear = "linear"  # samples of the linear model; for sets that share most of their sites


@dataclass
class FlowSettings(NetworkSettings):
    """Settings of `cryingan.models.flow.flow.Flow`, besides those of the network.

    Attributes:
        prior: where the flow starts.
        components: of the linear prior, see `cryingan.models.linear.settings.LinearSettings`.
        sites: give each atom of the linear prior a row of the embedding of its own, and its displacement from its site
            in place of its place in the cell.
        prior_noise: normal noise on every atom of the linear prior, Angstrom.
        steps: of the integration from start to end.
        heun: integrate with Heun's method, of second order and two evaluations a step, in place of Euler's.

    Raises:
        CryinGANError: a value is out of range.
    """

    prior: Prior = Prior.uniform
    components: int = 32
    sites: bool = False
    prior_noise: float = 0.1
    steps: int = 30
    heun: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("components", "steps"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("sites", not self.sites or self.prior == Prior.linear, "false without model.prior=linear")
        self._require("prior_noise", self.prior_noise >= 0, "at least 0")
