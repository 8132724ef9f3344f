"""Structures in a skewed cell, and the same ones moved, turned, mirrored and in another order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CELL = torch.tensor([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.5, -0.8, 7.0]], dtype=torch.float64)
SPECIES = torch.tensor([0, 0, 1, 1, 2])


class Moved(NamedTuple):
    """Structures that are those of `structures` in another place, orientation or order."""

    name: str
    cell: Tensor
    fractional: Tensor
    turn: Tensor
    """What turned or mirrored Cartesian vectors, as `vectors @ turn`."""
    order: list[int]
    """Which atom is at each place."""


def structures() -> Tensor:
    """Two structures of five atoms, fractional coordinates (2, 5, 3)."""
    return torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def moved_structures() -> list[Moved]:
    """All ways that leave distances as they are."""
    plain, same, order = structures(), torch.eye(3, dtype=torch.float64), list(range(5))
    turn, _ = torch.linalg.qr(torch.rand(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return [
        Moved("translated", CELL, plain + torch.tensor([0.3, -1.7, 5.2]), same, order),
        Moved("mirrored", CELL, -plain, -same, order),
        Moved("turned", CELL @ turn, plain, turn, order),
        Moved("in another order", CELL, plain[:, [1, 0, 3, 2, 4]], same, [1, 0, 3, 2, 4]),
    ]
