"""Pairs of atoms that are too close to be physical, within 1.5 Angstrom (docs/dismai_bench.md, "Repair")."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import pair_distances

CUTOFF = 1.5
# A pair at the cutoff counts, whatever rounding does to it: pymatgen's neighbour lists have the same margin, Angstrom.
MARGIN = 1e-8
STRUCTURES_AT_ONCE = 16


def close_pairs(fractional: Tensor, cell: Tensor, cutoff: float = CUTOFF) -> Tensor:
    """Count atom pairs i < j within a cutoff, over all periodic images; a pair counts once, however many are close.

    Args:
        fractional: fractional coordinates, shape (structures, atoms, 3); need not be wrapped.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        cutoff: distance up to and including which a pair is close, Angstrom.

    Returns:
        Pairs of each structure, int64, shape (structures,).

    Raises:
        CryinGANError: a coordinate is not finite, or the cell is flat.

    Example:
        >>> import torch
        >>> fractional = torch.tensor([[[0.0, 0.0, 0.0], [0.9, 0.0, 0.0], [0.5, 0.5, 0.5]]])
        >>> close_pairs(fractional, 10 * torch.eye(3))  # the first two are 1 Angstrom apart
        tensor([1])
    """
    if not fractional.isfinite().all():
        raise CryinGANError("close pairs cannot be counted: a coordinate is not finite")
    parts = fractional.detach().split(STRUCTURES_AT_ONCE)
    close = (pair_distances(part.double(), cell, cutoff + MARGIN).isfinite() for part in parts)
    return torch.cat([pairs.triu(1).sum(dim=(1, 2)) for pairs in close])


class ClosePairs(Metric):
    """Mean number of `close_pairs` per structure, over all structures given to `update` (on all ranks).

    Args:
        cell: lattice vectors of the structures in rows, Angstrom, shape (3, 3).
        cutoff: as in `close_pairs`, Angstrom.
    """

    higher_is_better = False
    full_state_update = False

    def __init__(self, cell: Tensor, cutoff: float = CUTOFF) -> None:
        super().__init__()
        self.cell, self.cutoff = cell, cutoff
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("structures", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, fractional: Tensor) -> None:
        """Add structures by their fractional coordinates, shape (structures, atoms, 3)."""
        self.pairs += close_pairs(fractional, self.cell, self.cutoff).sum().to(self.device)
        self.structures += len(fractional)

    def compute(self) -> Tensor:
        """Close pairs per structure, a float64 scalar; NaN before any structure was given."""
        return self.pairs.double() / self.structures
