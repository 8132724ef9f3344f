"""Close pairs against ASE's neighbour lists, and at the cutoff itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list

from cryingan.errors import CryinGANError
from cryingan.metrics.close_pairs import ClosePairs, close_pairs
from tests.support.metric_tester import check_metric

CELLS = {
    "cubic": np.eye(3) * 7.0,
    "thin": np.diag([1.2, 3.0, 30.0]),
    "skewed": np.array([[4.0, 0, 0], [10, 4, 0], [0, 0, 4]]),
    "left-handed": np.array([[0.3, 6, 0.4], [5, 0.2, 0.1], [0.5, 1.5, 7]]),
}


def ase_pairs(fractional: np.ndarray, cell: np.ndarray, cutoff: float) -> int:
    i, j = neighbor_list("ij", Atoms("H" * len(fractional), cell=cell, scaled_positions=fractional, pbc=True), cutoff)
    return len({(a, b) for a, b in zip(i, j, strict=True) if a < b})


@pytest.mark.parametrize("cutoff", [0.7, 1.5, 3.2])
@pytest.mark.parametrize("name", CELLS)
def test_counts_equal_ase(name: str, cutoff: float) -> None:
    """In the thin cell several images of a pair and own images are close: the pair counts once, they do not."""
    fractional = np.random.default_rng(0).random((4, 20, 3)) * 2 - 0.5
    found = close_pairs(torch.tensor(fractional), torch.tensor(CELLS[name]), cutoff)
    assert found.tolist() == [ase_pairs(structure, CELLS[name], cutoff) for structure in fractional]
    assert found.sum() > 0


@pytest.mark.parametrize(
    ("separation", "count"),
    [(1.5, 1), (1.5 + 5e-9, 1), (1.5 + 1e-7, 0), (1.5 - 1e-7, 1), (0.0, 1), (8.5, 1), (10.0, 1)],
)
def test_boundary(separation: float, count: int) -> None:
    """Inclusive up to 1e-8, through the boundary of the cell too; coincident atoms are close."""
    fractional = torch.tensor([[[0.0, 0, 0], [separation / 10, 0, 0]]], dtype=torch.float64)
    assert close_pairs(fractional, torch.eye(3) * 10).tolist() == [count]


def test_metric_is_the_mean_of_all_at_once() -> None:
    """More structures than are counted at a time."""
    fractional, cell = torch.rand(300, 12, 3, generator=torch.Generator().manual_seed(0)), torch.tensor(CELLS["cubic"])
    expected = close_pairs(fractional, cell).double().mean()
    assert expected > 0
    check_metric(lambda: ClosePairs(cell), fractional.split([1, 150, 149]), expected)


def test_not_a_number_is_no_clean_structure() -> None:
    with pytest.raises(CryinGANError, match="not finite"):
        close_pairs(torch.full((1, 2, 3), torch.nan), torch.eye(3))
