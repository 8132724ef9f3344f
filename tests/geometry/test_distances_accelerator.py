"""The path of accelerators: the cell alone decides what is done. Tested on the CPU and on tensors without data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.reference_cycle import brute_force_distances
from cryingan.geometry import distances
from cryingan.geometry.distances import neighbor_distances, pair_distances
from tests.support.distances import CELLS, FLOAT64_ANGSTROM, check, random_cells

TRICLINIC = {**CELLS, "interface, triclinic": np.array([[12.31, 0, 0], [4.23, 16.57, 0], [1.0, 2.0, 27.0]])}


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "cell_decides", lambda device: True)


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clustered(*shape: int, seed: int = 0) -> torch.Tensor:
    """All atoms of a structure in one corner but one, whose neighbours are far."""
    fractional = 0.7 + 0.02 * uniform(*shape, seed=seed)
    fractional[:, 0] = 0.1
    return fractional


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize("name", TRICLINIC)
def test_neighbors_equal_ase_and_pymatgen(name: str) -> None:
    for atoms, k in ((1, 1), (1, 13), (2, 6), (6, 6), (7, 6), (30, 10)):
        for structures in (uniform(2, atoms), clustered(2, atoms)):
            check(structures.numpy(), TRICLINIC[name], k, torch.float64, FLOAT64_ANGSTROM)


@pytest.mark.parametrize("name", [*TRICLINIC, *range(12)])
def test_distances_and_gradients_equal_those_of_the_cpu(name: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = torch.tensor(TRICLINIC[name] if isinstance(name, str) else random_cells(12)[name])
    weights = uniform(3, 20, 2, seed=1).flatten(2)
    for fractional in (uniform(3, 20).requires_grad_(), clustered(3, 20).requires_grad_()):
        found = {}
        for fixed in (False, True):
            monkeypatch.setattr(distances, "cell_decides", lambda device, fixed=fixed: fixed)
            ours = neighbor_distances(fractional, cell, 6)
            found[fixed] = ours, torch.autograd.grad((weights * ours).sum(), fractional)[0]
        for cpu, accelerator in zip(*found.values(), strict=True):
            torch.testing.assert_close(accelerator, cpu, rtol=0, atol=FLOAT64_ANGSTROM)


@pytest.mark.parametrize("name", TRICLINIC)
def test_no_value_is_looked_at_on_an_accelerator(name: str) -> None:
    """Tensors with a device, a shape and a dtype only: asking for a value is an error."""
    for atoms in (1, 5, 6, 7, 40):
        fractional = torch.empty(4, atoms, 3, device="meta", requires_grad=True)
        found = neighbor_distances(fractional, torch.tensor(TRICLINIC[name]), 6)
        assert found.shape == (4, atoms, 6)
        assert found.device.type == "meta"
        found.sum().backward()
        assert fractional.grad.shape == fractional.shape


def test_the_path_of_the_cpu_does_look_at_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test before this one can fail."""
    monkeypatch.setattr(distances, "cell_decides", lambda device: False)
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        neighbor_distances(torch.empty(4, 40, 3, device="meta"), torch.tensor(TRICLINIC["interface"]), 6)


class Operators(TorchDispatchMode):
    """Remembers what is run, and the size of the largest tensor that comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self.largest = set(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name, result = str(function.overloadpacket), function(*args, **(kwargs or {}))
        masks = name in ("aten.index", "aten.index_put_", "aten._index_put_impl_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.names.add("a boolean mask" if masks else name)
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def run(fractional: torch.Tensor, cell: torch.Tensor) -> Operators:
    with Operators() as operators:
        neighbor_distances(fractional, cell, 6).sum().backward()
    return operators


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize("name", TRICLINIC)
def test_nothing_waits_or_comes_from_the_host_at_later_calls(name: str) -> None:
    fractional, cell = uniform(2, 9).requires_grad_(), torch.tensor(TRICLINIC[name])
    from_the_host = {"aten.lift_fresh", "aten._to_copy"}
    waiting = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "a boolean mask"}
    distances._translations.cache_clear()
    assert run(fractional, cell).names & from_the_host
    assert not run(fractional, cell).names & (from_the_host | waiting)


@pytest.mark.parametrize("fixed", [False, True], ids=["CPU", "accelerator"])
@pytest.mark.parametrize("name", ["interface", "thin", "thin, skewed and left-handed"])
def test_memory_is_bounded_and_small_blocks_change_nothing(
    name: str, fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fractional, cell = uniform(2, 150).requires_grad_(), torch.tensor(TRICLINIC[name])
    monkeypatch.setattr(distances, "cell_decides", lambda device: fixed)
    at_once, at_once_pairs = neighbor_distances(fractional, cell, 6), pair_distances(fractional, cell)
    monkeypatch.setattr(distances, "CHUNK_CPU", 6000)  # less than the 150 x 150 pairs of a structure
    assert run(fractional, cell).largest <= 6000
    torch.testing.assert_close(neighbor_distances(fractional, cell, 6), at_once, rtol=0, atol=FLOAT64_ANGSTROM)
    assert torch.equal(pair_distances(fractional, cell), at_once_pairs)


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize("name", TRICLINIC)
def test_a_recorded_run_is_right_for_other_coordinates(name: str) -> None:
    """As a CUDA graph replays kernels: recorded forward and backward with one set of structures, run with others."""
    cell = torch.tensor(TRICLINIC[name])

    def gradient(fractional: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = neighbor_distances(fractional, cell, 6)
        return found, torch.autograd.grad(found.sum(), fractional)[0]

    neighbor_distances(uniform(3, 12), cell, 6)  # what is kept on the device is there before a graph is recorded
    recorded = make_fx(gradient)(uniform(3, 12).requires_grad_())
    kinds = {node.target for node in recorded.graph.nodes if node.op == "call_function"}
    assert not kinds & {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default}
    for other in (uniform(3, 12, seed=1), clustered(3, 12)):
        for replayed, expected in zip(recorded(other.requires_grad_()), gradient(other), strict=True):
            torch.testing.assert_close(replayed, expected, rtol=0, atol=FLOAT64_ANGSTROM)


@pytest.mark.usefixtures("fixed")
def test_it_equals_brute_force_at_full_size() -> None:
    cell = torch.tensor(TRICLINIC["interface, triclinic"])
    fractional = uniform(1, 264)
    found = neighbor_distances(fractional, cell, 6)
    torch.testing.assert_close(
        found, brute_force_distances(fractional, cell, 6, reach=1), rtol=0, atol=FLOAT64_ANGSTROM
    )
