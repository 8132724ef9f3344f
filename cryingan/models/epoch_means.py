"""Means of several quantities over an epoch, kept on the device and saved with the run."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class EpochMeans(Metric):
    """Weighted means of named quantities, summed in float64 and fetched once.

    The sums travel in checkpoints, so that an epoch interrupted half-way ends with the same means. `update` gets the
    quantities in the order of their `names`. A checkpoint may lack the last of them, if it was written before they were
    logged: those have no mean in the epoch that it interrupted.
    """

    full_state_update = False

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.add_state("total", torch.zeros(len(names), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)
        self.add_state("weight", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)

    def update(self, values: Tensor, weight: int) -> None:
        """Add one batch: its means, shape (names,), and the number of structures that they are means over."""
        self.total += values.detach().double() * weight
        self.weight += weight

    def compute(self) -> dict[str, float]:
        """The mean of every quantity; none before the first update."""
        if self.weight == 0:
            return {}
        means = zip(self.names, (self.total / self.weight).tolist(), strict=True)
        return {name: mean for name, mean in means if not math.isnan(mean)}

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        unknown = self.total.new_full((len(self.names) - len(self.total),), math.nan if self.weight else 0.0)
        self.total = torch.cat([self.total, unknown])
