"""An M3GNet against matgl's own calculator, an independent relaxation and its published energy."""

import types

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from cryingan.potentials.potential import load_potential
from tests.support.potentials import (
    MOS,
    MOS_ENERGY,
    PUBLISHED_M3GNET,
    REFERENCE_TOLERANCE,
    SAME_FORCE,
    needs_weights,
    rattled,
)

LATTICE_TOLERANCE = 0.005  # Angstrom
pytestmark = needs_weights


@pytest.fixture(scope="module")
def m3gnet():
    return load_potential("m3gnet", str(PUBLISHED_M3GNET))


def test_the_published_energy(m3gnet):
    (energy,), _ = m3gnet.evaluate([MOS])
    assert energy == pytest.approx(MOS_ENERGY, abs=REFERENCE_TOLERANCE)
    assert m3gnet.card.name == "M3GNet-MP-2021.2.8-PES"
    assert "Co" in m3gnet.card.elements


class Ours(Calculator):
    """A potential of ours in an independent ASE run; stress by finite strains."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, potential):
        super().__init__()
        self.potential = potential

    def calculate(self, atoms=None, properties=None, system_changes=None):
        super().calculate(atoms)
        strained = [atoms.copy() for _ in range(12)]
        for number, frame in enumerate(strained):
            strain = np.zeros(6)
            strain[number // 2] = 1e-3 if number % 2 else -1e-3
            xx, yy, zz, yz, xz, xy = strain
            matrix = np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
            frame.set_cell(frame.cell @ (np.eye(3) + matrix), scale_atoms=True)
        energies, forces = self.potential.evaluate([atoms, *strained])
        stress = (energies[2::2] - energies[1::2]) / 2e-3 / atoms.get_volume()
        self.results = {"energy": energies[0], "forces": forces[0], "stress": stress}


def lattice_constant(atoms: Atoms, calculator: Calculator) -> float:
    atoms = atoms.copy()
    atoms.calc = calculator
    LBFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=2e-3, steps=60)
    return (4 * atoms.get_volume()) ** (1 / 3)


def matgl_calculator():
    """matgl's own loader and ASE calculator, its convolution mended in place."""
    import matgl
    from matgl.ext.ase import PESCalculator
    from matgl.utils.maths import scatter_add

    def to_destination(layer, edges, edge_features, features, basis, _, atoms):
        inputs = torch.cat([features[edges[0]], features[edges[1]], edge_features], dim=1)
        return scatter_add(layer.node_update_func(inputs) * layer.node_weight_func(basis), edges[1], dim_size=atoms)

    potential = matgl.load_model(PUBLISHED_M3GNET)
    for layer in potential.model.graph_layers:
        layer.conv.node_update_ = types.MethodType(to_destination, layer.conv)
    return PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)


@pytest.mark.parametrize(("crystal", "start", "known"), [("NaCl", 5.8, 5.691), ("Si", 5.4, None)])
def test_lattice_constants_match_an_independent_run(m3gnet, crystal, start, known):
    atoms = bulk(crystal, "rocksalt" if crystal == "NaCl" else "diamond", a=start)
    independent = lattice_constant(atoms, matgl_calculator())
    ours = lattice_constant(atoms, Ours(m3gnet))
    assert ours == pytest.approx(independent, abs=LATTICE_TOLERANCE)
    if known:
        assert ours == pytest.approx(known, abs=LATTICE_TOLERANCE)


def test_energies_and_forces_are_those_of_matgl(m3gnet):
    frames = [
        rattled(bulk("NaCl", "rocksalt", a=5.7).repeat(2), 1),
        rattled(MOS.repeat((2, 2, 1)), 2),
        Atoms("He", cell=[15] * 3, pbc=True),
        rattled(bulk("LiF", "rocksalt", a=4.0), 3),
    ]
    energies, forces = m3gnet.evaluate(frames)
    with torch.inference_mode():
        singles = [m3gnet.evaluate([frame]) for frame in frames]
    calculator = matgl_calculator()
    for frame, energy, force, ((alone,), (alone_force,)) in zip(frames, energies, forces, singles, strict=True):
        assert alone == pytest.approx(energy, abs=SAME_FORCE)
        np.testing.assert_allclose(alone_force, force, atol=SAME_FORCE)
        if len(frame) > 1:
            frame.calc = calculator
            assert energy == pytest.approx(frame.get_potential_energy(), abs=2e-5 * len(frame))
            np.testing.assert_allclose(force, frame.get_forces(), atol=SAME_FORCE)
    again = m3gnet.evaluate(frames)
    np.testing.assert_array_equal(again[0], energies)
    np.testing.assert_array_equal(np.concatenate(again[1]), np.concatenate(forces))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_equals_the_cpu(m3gnet):
    frames = [rattled(MOS.repeat((2, 2, 1)), seed) for seed in range(3)]
    expected = m3gnet.evaluate(frames)
    energies, forces = load_potential("m3gnet", str(PUBLISHED_M3GNET), device="cuda").evaluate(frames)
    np.testing.assert_allclose(energies, expected[0], atol=1e-3)
    np.testing.assert_allclose(forces, expected[1], atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_full_gpu_halves_the_batches_and_changes_no_result():
    potential = load_potential("m3gnet", str(PUBLISHED_M3GNET), device="cuda", atoms_per_batch=10**6)
    frames = [rattled(MOS.repeat((2, 2, 1)), seed) for seed in range(128)]
    expected, _ = potential.evaluate(frames[:4])
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    potential.evaluate(frames)
    total = torch.cuda.get_device_properties(0).total_memory
    half = torch.cuda.max_memory_allocated() // 2
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(half / total)
        energies, _ = potential.evaluate(frames)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert potential.atoms_per_batch < sum(map(len, frames))
    np.testing.assert_allclose(energies[:4], expected, atol=1e-3)
