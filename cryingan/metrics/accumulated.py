"""Metrics that keep one row per structure, as intervals need them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric


class AccumulatedRows(Metric):
    """Keeps float64 rows of everything that `update` gets, in order; those of several processes rank by rank.

    Args:
        states: shape of a row of each state, by the state's name.
    """

    full_state_update = False

    def __init__(self, **states: tuple[int, ...]) -> None:
        super().__init__()
        self.shapes = states
        for name in states:
            self.add_state(name, [], dist_reduce_fx="cat")

    def add_rows(self, name: str, rows: np.ndarray | Tensor) -> None:
        """Append rows, shape (structures, ...), to a state."""
        added = torch.as_tensor(rows, dtype=torch.float64, device=self.device)
        getattr(self, name).append(added.reshape(-1, *self.shapes[name]))

    def all_rows(self, name: str) -> np.ndarray:
        """All rows of a state, shape (structures, ...): a list before gathering from processes, one tensor after."""
        state = getattr(self, name)
        parts = [state] if isinstance(state, Tensor) else state
        return np.concatenate([np.empty((0, *self.shapes[name])), *(part.cpu().numpy() for part in parts)])

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather from all processes; one that got no structure takes part with no rows, else the others would wait."""
        for name, shape in self.shapes.items():
            if not self._is_synced and not getattr(self, name):
                self.add_rows(name, np.empty((0, *shape)))
        super().sync(*args, **kwargs)
