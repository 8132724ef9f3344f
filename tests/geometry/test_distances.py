"""Distances to neighbours against ASE, pymatgen and brute force; gradients and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from benchmarks.reference_cycle import brute_force_distances
from cryingan.errors import CryinGANError
from cryingan.geometry import distances
from cryingan.geometry.distances import neighbor_distances, pair_distances
from tests.support.distances import CELLS, FLOAT32_ANGSTROM, FLOAT64_ANGSTROM, check, random_cells


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, FLOAT64_ANGSTROM), (torch.float32, FLOAT32_ANGSTROM)])
@pytest.mark.parametrize("name", CELLS)
def test_neighbors_equal_ase_and_pymatgen(name: str, dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    for atoms, k in ((1, 1), (1, 13), (2, 6), (6, 6), (7, 6), (30, 10)):
        check(rng.random((2, atoms, 3)), CELLS[name], k, dtype, tolerance)


def test_neighbors_equal_ase_and_pymatgen_on_random_cells() -> None:
    rng = np.random.default_rng(2)
    for cell in random_cells(40):
        atoms, k = int(rng.integers(1, 16)), int(rng.integers(1, 14))
        check(rng.random((1, atoms, 3)), cell, k, torch.float64, FLOAT64_ANGSTROM)


def test_clustered_atoms_need_many_images_of_few() -> None:
    """All atoms in one corner: for the lonely one the nearest neighbours are its own images and far ones."""
    fractional = np.full((1, 12, 3), 0.5) + 0.01 * np.random.default_rng(3).random((1, 12, 3))
    fractional[0, 0] = 0.02
    for cell in CELLS.values():
        check(fractional, cell, 6, torch.float64, FLOAT64_ANGSTROM)


SQRT2, SQRT3 = 2**0.5, 3**0.5
FCC = [[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]
FCC_SITES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
DIAMOND_SITES = FCC_SITES + [[x + 0.25, y + 0.25, z + 0.25] for x, y, z in FCC_SITES]


@pytest.mark.parametrize(
    ("sites", "cell", "expected"),
    [
        ([[0.1, 0.2, 0.3]], np.eye(3) * 3, [3.0] * 6 + [3 * SQRT2]),
        (FCC_SITES, np.eye(3) * 3.6, [3.6 / SQRT2] * 12 + [3.6]),
        ([[0, 0, 0]], FCC, [3.6 / SQRT2] * 12 + [3.6]),
        (DIAMOND_SITES, np.eye(3) * 5.431, [5.431 * SQRT3 / 4] * 4 + [5.431 / SQRT2] * 2),
        ([[0, 0, 0]], np.diag([2.0, 2.0, 20.0]), [2.0] * 4 + [2 * SQRT2] * 4 + [4.0] * 2),
        ([[0, 0, 0]], [[4.0, 0, 0], [10, 4, 0], [0, 0, 4]], [4.0] * 4 + [20**0.5] * 2),
    ],
    ids=["simple cubic", "fcc", "fcc primitive", "diamond", "thin", "skewed"],
)
def test_known_crystals(sites: list, cell: list, expected: list[float]) -> None:
    found = neighbor_distances(torch.tensor([sites], dtype=torch.float64), torch.tensor(np.array(cell)), len(expected))
    np.testing.assert_allclose(found[0], np.tile(expected, (len(sites), 1)), rtol=0, atol=FLOAT64_ANGSTROM)


@pytest.mark.parametrize("name", CELLS)
def test_gradient_is_that_of_the_distances(name: str) -> None:
    fractional = torch.rand(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for k in (3, 8):
        assert torch.autograd.gradcheck(lambda x, k=k: neighbor_distances(x, torch.tensor(CELLS[name]), k), fractional)


def test_gradient_equals_brute_force() -> None:
    fractional = torch.rand(3, 20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    cell = torch.tensor(CELLS["left-handed"])
    weights = torch.rand(3, 20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours, reference = neighbor_distances(fractional, cell, 6), brute_force_distances(fractional, cell, 6)
    torch.testing.assert_close(ours, reference, rtol=0, atol=FLOAT64_ANGSTROM)
    gradients = [torch.autograd.grad((weights * d).sum(), fractional)[0] for d in (ours, reference)]
    torch.testing.assert_close(*gradients, rtol=0, atol=FLOAT64_ANGSTROM)


@pytest.mark.parametrize("twin", [[0.3, 0.6, 0.0], [0.3, 0.6, 1.0]], ids=["equal", "through the boundary"])
@pytest.mark.parametrize("name", ["interface", "thin", "very skewed"])
def test_coincident_atoms_have_finite_gradients(name: str, twin: list[float]) -> None:
    others = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))
    fractional = torch.cat([torch.tensor([[0.3, 0.6, 0.0], twin]), others])[None].requires_grad_()
    found = neighbor_distances(fractional, torch.tensor(CELLS[name]), 6)
    assert found[0, 0, 0] == 0
    found.sum().backward()
    assert fractional.grad.isfinite().all()
    assert fractional.grad.abs().sum() > 0


@pytest.mark.parametrize("name", CELLS)
def test_invariances(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    fractional = torch.rand(2, 9, 3, dtype=torch.float64, generator=generator)
    cell, order = torch.tensor(CELLS[name]), torch.randperm(9, generator=generator)
    found = neighbor_distances(fractional, cell, 7)
    same = {
        "permuted": neighbor_distances(fractional[:, order], cell, 7)[:, order.argsort()],
        "translated": neighbor_distances(fractional + torch.tensor([0.37, -0.2, 0.81]), cell, 7),
        "unwrapped": neighbor_distances(fractional + torch.randint(-2, 3, (2, 9, 3), generator=generator), cell, 7),
        "other cell of the lattice": neighbor_distances(
            fractional @ torch.tensor([[1.0, 0, 0], [-2, 1, 0], [3, 0, 1]], dtype=torch.float64),
            torch.tensor([[1.0, 0, 0], [2, 1, 0], [-3, 0, 1]], dtype=torch.float64) @ cell,
            7,
        ),
    }
    for other in same.values():
        torch.testing.assert_close(other, found, rtol=0, atol=FLOAT64_ANGSTROM)


def test_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fractional, cell = torch.rand(5, 11, 3), torch.tensor(CELLS["thin"])
    at_once = neighbor_distances(fractional, cell, 6), pair_distances(fractional, cell)
    monkeypatch.setattr(distances, "CHUNK_CPU", 250)
    assert torch.equal(neighbor_distances(fractional, cell, 6), at_once[0])
    assert torch.equal(pair_distances(fractional, cell), at_once[1])


def test_mixed_precision_and_inference_mode_leave_it_alone() -> None:
    fractional, cell = torch.rand(2, 10, 3), torch.tensor(CELLS["thin, skewed and left-handed"] * 1.01)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        quiet = neighbor_distances(fractional, cell, 6)
    found = neighbor_distances(fractional.requires_grad_(), cell, 6)
    found.sum().backward()
    assert quiet.dtype == torch.float32
    assert torch.equal(quiet, found)


def test_not_a_number_stays_in_its_structure() -> None:
    fractional, cell = torch.rand(2, 9, 3), torch.tensor(CELLS["interface"])
    broken = fractional.clone()
    broken[1, 4, 2] = torch.nan
    found = neighbor_distances(broken, cell, 8)
    assert torch.equal(found[0], neighbor_distances(fractional, cell, 8)[0])
    assert found[1].isnan().any()


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.diag([1, 1, np.nan]), np.ones((3, 3)), np.ones((2, 3))])
def test_impossible_cells_are_refused(cell: np.ndarray) -> None:
    with pytest.raises(CryinGANError, match="cell"):
        neighbor_distances(torch.rand(1, 2, 3), torch.tensor(cell), 1)


@pytest.mark.parametrize("cell", [*CELLS.values(), *random_cells(20)], ids=[*CELLS, *map(str, range(20))])
def test_pairs_equal_brute_force_over_images(cell: np.ndarray) -> None:
    """Against every lattice point around, within the distance of the wrapped image."""
    fractional = np.random.default_rng(4).random((2, 5, 3)) * 3 - 1
    found = pair_distances(torch.tensor(fractional), torch.tensor(cell))
    lattice = Lattice(cell)
    for structure, ours in zip(fractional, found.numpy(), strict=True):
        for i, j in np.ndindex(5, 5):
            if i == j:
                assert ours[i, j] == np.inf
                continue
            difference = structure[j] - structure[i]
            far = np.linalg.norm((difference - difference.round()) @ cell)
            near = lattice.get_points_in_sphere(structure[[j]], structure[i] @ cell, far + 1e-6, zip_results=False)[1]
            assert ours[i, j] == pytest.approx(near.min(), abs=FLOAT64_ANGSTROM)
    cutoff = float(np.median(found[found.isfinite()]))
    within = torch.where(found <= cutoff, found, torch.inf)
    assert torch.equal(pair_distances(torch.tensor(fractional), torch.tensor(cell), cutoff), within)


def test_neighbors_of_an_ordinary_structure_agree_with_pymatgen_structure() -> None:
    fractional, cell = np.random.default_rng(5).random((264, 3)), CELLS["interface"]
    found = neighbor_distances(torch.tensor(fractional)[None], torch.tensor(cell), 6)[0].numpy()
    center, _, _, separation = Structure(Lattice(cell), ["H"] * 264, fractional).get_neighbor_list(found.max() + 0.1)
    reference = np.array([np.sort(separation[center == atom])[:6] for atom in range(264)])
    np.testing.assert_allclose(found, reference, rtol=0, atol=FLOAT64_ANGSTROM)
