"""Cluster probabilities of alloy structures (docs/dismai_bench.md, "Alloy: clusters")."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cryingan.errors import CryinGANError
from cryingan.metrics.accumulated import AccumulatedRows
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, PAIRS, SPECIES, SRO_NAMES, neighbor_table, short_range_order
from cryingan.metrics.bootstrap import as_tensors, distance_of_means

MULTIPLICITIES = np.repeat(
    [1, *(table.shape[1] / 2 for table in neighbor_table())], [len(SPECIES)] + [len(PAIRS)] * len(neighbor_table())
)
"""Points and pairs per site, columns as `CLUSTER_NAMES`."""


def cluster_probabilities(counts: np.ndarray) -> np.ndarray:
    """Counts per atom over clusters per site, shape (structures, 45): the rows whose mean d_cluster compares.

    The six of a shell sum to 1 without vacancies and to less with them: counts are per atom that is present, and a pair
    with a vacancy is none.

    Args:
        counts: `cluster_counts`, or those of `map_to_lattice`, shape (structures, 45).
    """
    return counts / MULTIPLICITIES


def undefined_order(counts: np.ndarray) -> list[str]:
    """Why `short_range_order` has a NaN, for each structure; empty where it has none."""
    return [_undefined(row, order) for row, order in zip(counts, short_range_order(counts), strict=True)]


def _undefined(counts: np.ndarray, order: np.ndarray) -> str:
    if np.isnan(counts).any():
        return "no atom on the lattice"
    missing = [symbol for symbol, count in zip(SPECIES, counts, strict=False) if count == 0]
    if missing:
        return f"no {' and no '.join(missing)}"
    lonely = [name for name, value in zip(SRO_NAMES, order, strict=True) if np.isnan(value)]
    return f"an element of {', '.join(lonely)} has no neighbour in that shell" if lonely else ""


class AlloyClusters(AccumulatedRows):
    """d_cluster and the shares with vacancies and rejected, of all structures given to `update` (on all ranks).

    Args:
        reference: `cluster_probabilities` of the reference structures, shape (structures, 45).
        original: how many structures were generated, those included that were lost before; default: those given.
    """

    def __init__(self, reference: np.ndarray, original: int | None = None) -> None:
        super().__init__(rows=(len(CLUSTER_NAMES) + 2,))
        self.reference, self.original = np.asarray(reference, dtype=np.float64), original

    def update(self, counts: np.ndarray, vacancies: np.ndarray, rejected: np.ndarray) -> None:
        """Add structures as `map_to_lattice` gives them.

        Args:
            counts: shape (structures, 45).
            vacancies: shape (structures,).
            rejected: whether there is a reason to reject them, shape (structures,).
        """
        self.add_rows("rows", np.column_stack([cluster_probabilities(counts), vacancies, rejected]))

    def compute(self) -> dict[str, Tensor]:
        """`d_cluster`, `d_cluster_low`, `d_cluster_high`, `percent_with_vacancies`, `percent_failed`, float64 scalars.

        Raises:
            CryinGANError: more structures were given than were generated.
        """
        rows = self.all_rows("rows")
        original = len(rows) if self.original is None else self.original
        if original < len(rows):
            raise CryinGANError(f"original={original} must be at least the {len(rows)} structures that were given")
        accepted = rows[rows[:, -1] == 0]
        distance = as_tensors(distance_of_means(accepted[:, : len(CLUSTER_NAMES)], self.reference), self.device)
        shares = {
            "percent_with_vacancies": 100 * (accepted[:, -2] > 0).mean() if len(accepted) else np.nan,
            "percent_failed": 100 * (1 - len(accepted) / original) if original else np.nan,
        }
        return {
            "d_cluster": distance["value"],
            "d_cluster_low": distance["low"],
            "d_cluster_high": distance["high"],
            **{name: torch.tensor(value, dtype=torch.float64, device=self.device) for name, value in shares.items()},
        }
