"""What the benchmarks of speed compare gives the same results, and what they train is what their docs say."""

import pytest
import torch

from benchmarks.distances import CELLS, Case, require_equal, searched
from benchmarks.overhead import WITHOUT
from benchmarks.sides import Case as StepCase
from benchmarks.sides import Sides
from benchmarks.step import Products, cycle_flops
from cryingan.linear_algebra import MKL, ONEDNN, use_library
from tests.conftest import compose

ON_GPU = (pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("cell", CELLS)
def test_distances_of_both_sides_are_equal(cell, device):
    case = Case("cells", cell, 40, 2, 6, True)
    require_equal(case, searched(case.cell, case.atoms, case.structures, case.k), device)


def test_distances_that_differ_stop_the_benchmark():
    case = Case("cells", "interface", 40, 2, 6, True)
    with pytest.raises(SystemExit, match="the distances of the sides differ by"):
        require_equal(case, ((0, 0, 0),), "cpu")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_steps_of_both_sides_have_equal_losses(weight, device):
    case = StepCase({"Li": 5, "O": 3, "Cl": 2}, [[6.0, 0, 0], [1.0, 6.0, 0], [0, 0, 7.0]], weight, 4, device=device)
    sides = Sides(case)
    sides.require_equal(1e-3)
    sides.model.hparams.penalty_weight += 5
    with pytest.raises(SystemExit, match="the sides differ: critic_loss"):
        sides.require_equal(1e-3)


def test_the_overhead_is_measured_without_callbacks_that_sample():
    callbacks = compose("experiment=demo", *WITHOUT).callbacks
    assert set(callbacks) == {"progress", "last", "milestones"}


def test_products_are_counted_in_both_kinds_of_steps():
    """Of one linear map; and of a whole cycle, where PyTorch's own counter fails."""
    with Products() as products:
        torch.nn.functional.linear(torch.ones(5, 7), torch.ones(11, 7), torch.ones(11))
    assert products.flops == 2 * 5 * 7 * 11
    sides = Sides(StepCase({"Li": 5, "O": 3, "Cl": 2}, [[6.0, 0, 0], [1.0, 6.0, 0], [0, 0, 7.0]], 0.05, 4))
    once = cycle_flops(sides)
    use_library(ONEDNN if torch.backends.mkldnn.is_available() else MKL)
    try:
        assert cycle_flops(sides) == once > 0
    finally:
        use_library(MKL)
