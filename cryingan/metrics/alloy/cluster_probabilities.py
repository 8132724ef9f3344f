"""Cluster probabilities of alloy structures (docs/dismai_bench.md, "Alloy: clusters")."""

from __future__ import annotations

import numpy as np

from cryingan.metrics.alloy.fcc import PAIRS, SPECIES, SRO_NAMES, neighbor_table, short_range_order

MULTIPLICITIES = np.repeat(
    [1, *(table.shape[1] / 2 for table in neighbor_table())], [len(SPECIES)] + [len(PAIRS)] * len(neighbor_table())
)
"""Points and pairs per site, columns as `CLUSTER_NAMES`."""


def cluster_probabilities(counts: np.ndarray) -> np.ndarray:
    """Counts per atom divided by clusters per site: the rows whose means d_cluster compares.

    Both are as from `cluster_counts`, shape (structures, 45), columns as `CLUSTER_NAMES`. The six of a shell sum to 1
    without vacancies. They sum to less with them, since a pair with a vacancy is none.
    """
    return counts / MULTIPLICITIES


def undefined_order(counts: np.ndarray) -> list[str]:
    """The reason for a NaN in `short_range_order` of each row of `cluster_counts`; empty where there is none."""
    reasons = []
    for row, order in zip(counts, short_range_order(counts), strict=True):
        missing = [symbol for symbol, count in zip(SPECIES, row, strict=False) if count == 0]
        lonely = [name for name, value in zip(SRO_NAMES, order, strict=True) if np.isnan(value)]
        if np.isnan(row).any():
            reasons.append("no atom on the lattice")
        elif missing:
            reasons.append(f"no {' and no '.join(missing)}")
        else:
            reasons.append(f"an element of {', '.join(lonely)} has no neighbour in that shell" if lonely else "")
    return reasons
