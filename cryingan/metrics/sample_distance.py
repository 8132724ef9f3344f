"""How far samples are from each other, atoms of a species being exchangeable."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_distances

STRUCTURES = 64  # the first ones; a pair of 264 atoms of five species takes 2 ms, one of 300 of one species 6 ms


def sample_distance(structures: Crystals, most: int = STRUCTURES) -> float:
    """Mean distance of a structure from the next, as `cryingan.structures.matching.matched_distances` defines it.

    Near zero where all samples are alike, however they number equal atoms.

    Args:
        structures: in random order, as samples are.
        most: how many of them are compared, from the first on.

    Returns:
        Angstrom; NaN for fewer than two structures.

    Example:
        >>> places = np.array([[[0.1, 0, 0], [0.5, 0, 0]], [[0.5, 0, 0], [0.9, 0, 0]]])  # exchanged, one moved by 2
        >>> round(sample_distance(Crystals(places, 10 * np.eye(3), ("Li", "Li"))), 3)  # sqrt(2^2 / 2)
        1.414
    """
    some = structures[:most]
    if len(some) < 2:
        return math.nan
    return float(np.mean([matched_distances(some[i : i + 1], some[i + 1 : i + 2]) for i in range(len(some) - 1)]))


class SampleDistance(Metric):
    """`sample_distance` of all structures given to `update`; those of several processes follow one another by rank.

    Args:
        template: cell and species of the structures.
    """

    higher_is_better = True
    full_state_update = False

    def __init__(self, template: Crystals) -> None:
        super().__init__()
        self.template = template
        self.add_state("fractional", [], dist_reduce_fx="cat")

    def update(self, fractional: Tensor) -> None:
        """Add structures by their fractional coordinates, shape (structures, atoms, 3)."""
        self.fractional.append(fractional.to(self.device))

    def compute(self) -> Tensor:
        """The distance, Angstrom, a float64 scalar; NaN for fewer than two structures."""
        value = math.nan
        if len(self.fractional):  # a list before the states of processes are gathered, a tensor after
            fractional = dim_zero_cat(self.fractional).double().cpu().numpy()
            value = sample_distance(Crystals(fractional, self.template.cell, self.template.species))
        return torch.tensor(value, dtype=torch.float64, device=self.device)
