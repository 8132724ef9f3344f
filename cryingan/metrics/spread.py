"""How much the samples of a generator differ from each other."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def spread(fractional: np.ndarray, cell: np.ndarray) -> float:
    """Mean distance between the places of an atom in one structure and in the next; near zero, all are alike.

    In Angstrom, from coordinates (structures, atoms, 3) in a cell (3, 3); NaN for fewer than two structures.

    Example:
        >>> import numpy as np
        >>> places = np.array([[[0.1, 0.0, 0.0]], [[0.9, 0.0, 0.0]]])  # through the boundary
        >>> round(spread(places, 10 * np.eye(3)), 6)
        2.0
    """
    if len(fractional) < 2:
        return math.nan
    difference = np.diff(fractional, axis=0)
    return float(np.linalg.norm((difference - difference.round()) @ cell, axis=-1).mean())


class Spread(Metric):
    """`spread` of all structures given to `update`; those of several processes follow one another by rank."""

    higher_is_better = True
    full_state_update = False

    def __init__(self, cell: Tensor) -> None:
        super().__init__()
        self.cell = cell
        self.add_state("fractional", [], dist_reduce_fx="cat")

    def update(self, fractional: Tensor) -> None:
        """Add structures by their fractional coordinates, shape (structures, atoms, 3)."""
        self.fractional.append(fractional.to(self.device))

    def compute(self) -> Tensor:
        """The spread, Angstrom, a scalar; NaN for fewer than two structures."""
        value = math.nan
        if len(self.fractional):  # a list before the states of processes are gathered, a tensor after
            value = spread(dim_zero_cat(self.fractional).cpu().numpy(), self.cell.numpy())
        return torch.tensor(value, dtype=torch.float64, device=self.device)
