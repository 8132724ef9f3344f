"""Numbers of bonds of atoms to one species, at their most likely coordination number (Fig. S19)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryingan.metrics.motifs.distributions import motif_shares


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
