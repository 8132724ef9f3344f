"""The moving average of the weights of UniMat and CrysTens, whose memory grows with the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryingan.models.average import Average

BEGIN = 100  # steps of the optimiser that the average is a copy for
EVERY = 10  # steps between updates
POWER = -2 / 3


class RisingAverage(Average):
    """An average that copies the first 100 steps and then follows every tenth.

    Its decay is 1 - (1 + k)^(-2/3), k steps after it began, up to a largest one: 0.99965 after 150,000 steps.

    Args:
        network: what it follows.
        decay: the largest one.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, decay)
        self.largest = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.multi_avg_fn = self._towards

    def update_parameters(self, model: nn.Module) -> None:
        """Count a step of the optimiser, and follow the weights if it is a tenth."""
        self.steps += 1
        if self.steps % EVERY == 0:
            super().update_parameters(model)

    @property
    def decay(self) -> float:
        """The share of the average that an update at this step keeps."""
        after = int(self.steps) - BEGIN
        return min(self.largest, 1 - max(1, after) ** POWER)

    @torch.no_grad()
    def _towards(self, own: Sequence[Tensor], followed: Sequence[Tensor], _: Tensor) -> None:
        torch._foreach_lerp_(list(own), list(followed), 1 - self.decay)
