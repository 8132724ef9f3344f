"""The crystal graph discriminator against formulas written out per atom, and what it must not see."""

import ase
import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list
from torch import Tensor

from cryingan.models.cgcnn.cgcnn import CGCNN
from cryingan.models.cgcnn.network import CrystalGraph, GatedConvolution, expanded, lengths
from tests.conftest import random_crystals
from tests.support.models import CELL, SPECIES, batches_of, quiet_trainer

GENERATOR = {"latent_dim": 5, "channels": 4, "generator_widths": [7, 6]}
SMALL = {**GENERATOR, "features": 5, "convolutions": 2, "gaussians": 6, "head_widths": [7], "n_neighbors": 4}
COUNTS, SWAPPED = (4, 4, 2), [2, 0, 1, 3, 7, 4, 5, 6, 9, 8]


def structures(count: int, cell: np.ndarray = CELL) -> Tensor:
    """Fractional coordinates (count, 10, 3), grouped by species."""
    crystals = random_crystals(count, SPECIES, cell)
    return torch.tensor(crystals.reordered(crystals.grouping).fractional)


def graph_of(cell: np.ndarray = CELL) -> CrystalGraph:
    """A small network in float64."""
    model = CGCNN(cell.tolist(), list(SPECIES), **SMALL).double()
    return model.discriminators["discriminator"]


def nearest(fractional: np.ndarray, cell: np.ndarray, k: int) -> list[list[tuple[float, int]]]:
    """Distance and number of the k nearest periodic neighbours of every atom, by ASE."""
    atoms = ase.Atoms("H" * len(fractional), cell=cell, scaled_positions=fractional, pbc=True)
    center, other, distance = neighbor_list("ijd", atoms, 9.0)
    found = [[] for _ in fractional]
    for i, j, d in zip(center, other, distance, strict=True):
        found[i].append((float(d), int(j)))
    return [sorted(one)[:k] for one in found]


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def by_hand(network: CrystalGraph, fractional: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The outputs of one structure, atom by atom and bond by bond, in NumPy."""
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    centers = np.linspace(0, 8, 6)
    rows = np.repeat(np.arange(3), COUNTS)
    atoms = np.array([weights["embedding.weight"][:, row] + weights["embedding.bias"] for row in rows])
    for number in range(2):
        weight = weights[f"convolutions.{number}.gate_and_core.weight"]
        bias = weights[f"convolutions.{number}.gate_and_core.bias"]
        after = atoms.copy()
        for i, neighbors in enumerate(nearest(fractional, cell, 4)):
            for distance, j in neighbors:
                z = np.concatenate([atoms[i], atoms[j], np.exp(-(((distance - centers) / 1.6) ** 2))])
                gate, core = np.split(weight @ z + bias, 2)
                after[i] += 1 / (1 + np.exp(-gate)) * softplus(core)
        atoms = after
    hidden = softplus(
        weights["per_structure.1.weight"] @ softplus(atoms.mean(axis=0)) + weights["per_structure.1.bias"]
    )
    return weights["per_structure.3.weight"] @ hidden + weights["per_structure.3.bias"]


@pytest.mark.parametrize("cell", [CELL, np.array([[2.5, 0, 0], [1.9, 9, 0], [0.4, 5, 30]])], ids=["plain", "skewed"])
def test_a_score_equals_the_formulas_atom_by_atom(cell):
    """Neighbours are those of ASE, in a cell so thin that an atom is its own neighbour, too."""
    network, fractional = graph_of(cell), structures(2, cell)
    for one, outputs in zip(fractional, network(fractional), strict=True):
        np.testing.assert_allclose(outputs.detach(), by_hand(network, one.numpy(), cell), rtol=1e-9)


def test_what_does_not_change_a_score():
    """Lattice translations of atoms, a shift of all, swaps within species, a turn or another basis of the cell."""
    network, fractional = graph_of(), structures(3)
    scores = network(fractional)
    random = np.random.default_rng(1)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    basis = np.array([[1, 0, 0], [2, 1, 0], [0, -1, 1]])
    turned, rebased = graph_of(CELL @ turn), graph_of(basis @ CELL)
    same = {
        "translated": network(fractional + torch.tensor(random.integers(-2, 3, fractional.shape))),
        "shifted": network(fractional + torch.tensor([0.21, 0.83, 0.4])),
        "swapped": network(fractional[:, SWAPPED]),
        "turned": turned(fractional),
        "rebased": rebased(fractional @ torch.tensor(np.linalg.inv(basis))),
    }
    for name, values in same.items():
        torch.testing.assert_close(values, scores, rtol=0, atol=1e-9, msg=name)
    assert (network(fractional[:, [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]]) - scores).abs().max() > 1e-6  # Li and O


def test_first_and_second_derivatives_by_coordinates_and_weights():
    network, fractional = graph_of(), structures(1).requires_grad_()
    assert torch.autograd.gradcheck(network, fractional)
    assert torch.autograd.gradgradcheck(network, fractional)
    convolution = GatedConvolution(2, 3).double()
    neighbors = torch.tensor([[[1, 2], [0, 2], [1, 0]]])
    given = [torch.rand(1, 3, 2, dtype=torch.float64), torch.rand(1, 3, 2, 3, dtype=torch.float64)]
    weight = convolution.gate_and_core.weight

    def of_weight(weight: Tensor, atoms: Tensor, bonds: Tensor) -> Tensor:
        values = {"gate_and_core.weight": weight}
        return torch.func.functional_call(convolution, values, (atoms, neighbors, bonds))

    assert torch.autograd.gradgradcheck(of_weight, (weight, *(one.requires_grad_() for one in given)))


def test_coincident_atoms_have_finite_derivatives():
    vectors = torch.tensor([[0.0, 0, 0], [1e-9, 0, 0], [3.0, 4, 0]], requires_grad=True)
    found = lengths(vectors)
    assert found.tolist() == [0, 0, 5]
    (gradient,) = torch.autograd.grad(found.sum(), vectors, create_graph=True)
    assert gradient[:2].abs().max() == 0
    gradient.square().sum().backward()
    assert vectors.grad.isfinite().all()


def test_gaussians():
    values = expanded(torch.tensor([0.0, 0.5, 3.0]), 3, 1.0)
    expected = [[1, np.exp(-1), np.exp(-4)], [np.exp(-1), 1, np.exp(-1)], [0, 0, np.exp(-16)]]
    np.testing.assert_allclose(values, expected, atol=1e-6)


def test_parameters_with_the_published_sizes():
    model = CGCNN(CELL.tolist(), list(SPECIES))
    expected = 4 * 64 + 3 * (2 * 64 + 41 + 1) * 128 + 65 * 128 + 129 * 10
    assert sum(p.numel() for p in model.discriminators["discriminator"].parameters()) == expected
    assert not any("norm" in type(module).__name__.lower() for module in model.discriminators.modules())


def test_training_when_every_atom_of_a_sample_coincides():
    model = CGCNN(CELL.tolist(), list(SPECIES), **SMALL, generator_interval=1)
    with torch.no_grad():
        model.generator.layers[-1].weight.zero_()
    before = {name: value.clone() for name, value in model.discriminators.state_dict().items()}
    batches = batches_of(random_crystals(12, SPECIES, CELL), 0, 6)
    batches.tensor = batches.tensor.float()
    quiet_trainer().fit(model, batches)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert any(not value.equal(before[name]) for name, value in model.discriminators.state_dict().items())
