"""Mean distances to the nearest neighbours, and how far those of generated structures are from a reference."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from cryingan.geometry.distances import neighbor_distances


def mean_neighbor_distances(fractional: Tensor, cell: Tensor, neighbors: int) -> Tensor:
    """Mean distance to the first, second, ... neighbour over all atoms and structures.

    Args:
        fractional: fractional coordinates, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        neighbors: how many neighbours.

    Returns:
        Distances in ascending order, Angstrom, shape (neighbors,); NaN without structures.

    Example:
        Simple cubic polonium has six neighbours at the lattice constant and twelve at its diagonal.

        >>> import torch
        >>> atom, cell = torch.zeros(1, 1, 3, dtype=torch.float64), 3.0 * torch.eye(3, dtype=torch.float64)
        >>> mean_neighbor_distances(atom, cell, 7)
        tensor([3.0000, 3.0000, 3.0000, 3.0000, 3.0000, 3.0000, 4.2426],
               dtype=torch.float64)
    """
    return neighbor_distances(fractional, cell, neighbors).mean(dim=(0, 1))


class NeighborDistanceError(Metric):
    """Mean over the neighbours of how far `mean_neighbor_distances` of structures are from those of a reference.

    Args:
        reference: its `mean_neighbor_distances`, Angstrom, shape (neighbors,).
        cell: lattice vectors of the structures in rows, Angstrom, shape (3, 3).
    """

    higher_is_better = False
    full_state_update = False

    def __init__(self, reference: Tensor, cell: Tensor) -> None:
        super().__init__()
        self.reference, self.cell = reference, cell
        self.add_state("total", torch.zeros_like(reference), dist_reduce_fx="sum")
        self.add_state("atoms", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, fractional: Tensor) -> None:
        """Add structures by their fractional coordinates, shape (structures, atoms, 3)."""
        distances = neighbor_distances(fractional, self.cell, len(self.reference))
        self.total += distances.sum(dim=(0, 1)).to(self.device)
        self.atoms += distances.shape[:2].numel()

    def compute(self) -> Tensor:
        """The error, Angstrom, a scalar; NaN before any structure was given."""
        return (self.total / self.atoms - self.reference.to(self.device)).abs().mean()
