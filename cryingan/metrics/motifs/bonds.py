"""Numbers of bonds of atoms to one species, at their most likely coordination number (Fig. S19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from cryingan.metrics.accumulated import AccumulatedRows
from cryingan.metrics.bootstrap import as_tensors, mean_interval
from cryingan.metrics.motifs.distributions import NUMBERS, motif_shares


def bond_shares(
    counts: np.ndarray | Sequence[np.ndarray], masks: np.ndarray | Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """Shares of each structure's atoms by their number of bonds.

    Args:
        counts: neighbours of one species (a column of `motifs.MostLikely.anion_counts`), int, shape (structures,
            sites), or for each structure (sites,).
        masks: which sites count, bool, likewise, such as those of a region; all when not given.

    Returns:
        Percent, shape (structures, 25): 0 to 24 bonds; an isolated atom has 0. NaN for a structure without a site.
    """
    return motif_shares([np.zeros_like(numbers) for numbers in counts], counts, masks)[:, 0]


def mean_bonds(shares: np.ndarray) -> np.ndarray:
    """Mean number of bonds of the atoms of each structure, shape (structures,), from `bond_shares`."""
    return shares @ np.arange(NUMBERS) / 100


class BondNumbers(AccumulatedRows):
    """Mean shares of atoms by their number of bonds, over all structures given to `update` (on all ranks)."""

    def __init__(self) -> None:
        super().__init__(rows=(NUMBERS,))

    def update(self, counts: np.ndarray | Sequence[np.ndarray]) -> None:
        """Add structures by the numbers of bonds of their atoms, as in `bond_shares`."""
        self.add_rows("rows", bond_shares(counts))

    def compute(self) -> dict[str, Tensor]:
        """`value`, `low` and `high` in percent, float64, each of shape (25,); NaN where nothing was given."""
        return as_tensors(mean_interval(self.all_rows("rows")), self.device)
