"""Edges within a cut-off against ASE, and the ends that a limit of their number has."""

import ase
import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list

from cryingan.geometry import edges
from cryingan.geometry.edges import edges_within

CELLS = {
    "long": np.diag([7.35, 7.35, 33.4]),
    "thin and skewed": np.array([[2.5, 0, 0], [1.9, 9, 0], [0.4, 5, 14]]),
    "left-handed": np.array([[0.3, 6, 0.4], [5, 0.2, 0.1], [0.5, 1.5, 7]]),
    "very skewed": np.array([[4.0, 0, 0], [10, 4, 0], [0, 0, 4]]),
}


def structures(count=3, atoms=7, dtype=torch.float64, seed=0):
    """Fractional coordinates, some outside of the cell."""
    return 4 * torch.rand(count, atoms, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype) - 2


def as_rows(source, target, vectors):
    """Edges in an order of their own, for comparison."""
    rows = np.column_stack([np.asarray(one, dtype=float) for one in (source, target, vectors)]).round(4) + 0.0
    return rows[np.lexsort(rows.T[::-1])]


def by_ase(fractional, cell, cutoff):
    """Sources, targets and vectors of all structures, atoms counted on."""
    found = []
    for number, one in enumerate(fractional.double().numpy()):
        atoms = ase.Atoms("H" * len(one), cell=cell, scaled_positions=one, pbc=True)
        source, target, vectors = neighbor_list("ijD", atoms, cutoff)
        found.append((source + number * len(one), target + number * len(one), vectors))
    return [np.concatenate(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("cutoff", [2.0, 5.0])
@pytest.mark.parametrize("name", CELLS)
def test_all_edges_are_those_of_ase(name, cutoff):
    fractional, cell = structures(), CELLS[name]
    found = edges_within(fractional, torch.tensor(cell), cutoff)
    np.testing.assert_allclose(as_rows(*found), as_rows(*by_ase(fractional, cell, cutoff)), atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_second_half_are_the_reverses_of_the_first(dtype):
    source, target, vectors = edges_within(structures(dtype=dtype), torch.tensor(CELLS["left-handed"]), 5.0, 4)
    half = len(source) // 2
    assert source[half:].equal(target[:half])
    assert target[half:].equal(source[:half])
    assert vectors[half:].equal(-vectors[:half])
    assert vectors.dtype == dtype


@pytest.mark.parametrize("most", [1, 4, 12, 1000])
@pytest.mark.parametrize("name", CELLS)
def test_an_edge_stays_if_one_of_its_ends_lists_it(name, most):
    fractional, cell, cutoff = structures(), CELLS[name], 5.0
    source, target, vectors = by_ase(fractional, cell, cutoff)
    lengths = np.linalg.norm(vectors, axis=1)
    last = {atom: np.sort(lengths[source == atom])[:most][-1:] for atom in range(21)}
    limit = np.array([max([*last[i], *last[j]]) for i, j in zip(source, target, strict=True)])
    kept = lengths <= limit * (1 + 1e-6)
    expected = as_rows(source[kept], target[kept], vectors[kept])
    np.testing.assert_allclose(
        as_rows(*edges_within(fractional, torch.tensor(cell), cutoff, most)), expected, atol=2e-4
    )


def test_the_order_of_atoms_does_not_matter_where_distances_are_equal():
    """A simple cubic lattice, of whose edges only three would fit."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(3.0)] * 3, indexing="ij"), dim=-1).view(1, 27, 3) / 3
    for moved in (0.0, 0.123):
        source, _, _ = edges_within(grid + moved, 9.0 * torch.eye(3), 4.0, 3)
        assert torch.bincount(source).tolist() == [6] * 27


def test_parts_of_a_batch_are_searched_one_after_the_other(monkeypatch):
    fractional, cell = structures(5), torch.tensor(CELLS["long"])
    expected = edges_within(fractional, cell, 4.0)
    monkeypatch.setattr(edges, "CHUNK", 1)
    np.testing.assert_array_equal(as_rows(*edges_within(fractional, cell, 4.0)), as_rows(*expected))


def test_atoms_without_neighbours():
    source, target, vectors = edges_within(torch.rand(2, 1, 3), 9.0 * torch.eye(3), 4.0, 3)
    assert (source.shape, target.shape, vectors.shape) == ((0,), (0,), (0, 3))


def test_atoms_on_top_of_each_other():
    source, _, vectors = edges_within(torch.zeros(1, 2, 3), 9.0 * torch.eye(3), 4.0, 3)
    assert source.tolist() == [0, 1]
    assert not vectors.any()
