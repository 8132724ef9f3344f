"""Potentials against ASE, matgl's own calculator, finite differences and published energies."""

import json
import pickle
import types

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.neighborlist import primitive_neighbor_list
from ase.optimize import LBFGS

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import neighbors
from cryingan.potentials.potential import load_potential
from tests.support.paths import SHARED

WEIGHTS = SHARED / "potentials/M3GNet-MP-2021.2.8-PES"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="no M3GNet weights beside the repository")
REFERENCE_TOLERANCE = 1e-4  # eV
LATTICE_TOLERANCE = 0.005  # Angstrom
BATCH_TOLERANCE = 1e-5  # eV/A
MOS = Atoms("MoS", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4.0] * 3, pbc=True)
MOS_ENERGY = -10.82436


def rattled(atoms: Atoms, seed: int = 0, size: float = 0.1) -> Atoms:
    atoms = atoms.copy()
    atoms.rattle(size, seed=seed)
    return atoms


def as_reference(atoms: Atoms, energy: float, tolerance: float = REFERENCE_TOLERANCE) -> dict:
    structure = {"symbols": atoms.get_chemical_symbols(), "fractional": atoms.get_scaled_positions().tolist()}
    return {**structure, "cell": atoms.cell.tolist(), "energy": energy, "tolerance": tolerance}


@pytest.fixture(scope="module")
def m3gnet():
    return load_potential("m3gnet", str(WEIGHTS))


@pytest.fixture
def skewed() -> Atoms:
    """A cell thinner than the cut-off, left-handed, with atoms outside of it."""
    fractional = np.random.default_rng(0).uniform(-2, 2, (5, 3))
    return Atoms("Cu2O3", scaled_positions=fractional, cell=[[3, 0, 0], [1, -4, 0], [0.3, 0.4, 5]], pbc=True)


class Thrower:
    """Stands for a model whose memory suffices for `limit` atoms."""

    def __init__(self, potential, limit, error):
        self.inner, self.limit, self.error, self.sizes = potential._evaluate_batch, limit, error, []

    def __call__(self, frames):
        self.sizes.append(sum(map(len, frames)))
        if self.sizes[-1] > self.limit:
            raise self.error
        return self.inner(frames)


def test_neighbors_match_ase(skewed):
    skewed.wrap()
    source, target, image = neighbors(skewed.positions, np.asarray(skewed.cell), 5.0)
    ours = np.linalg.norm(skewed.positions[target] - skewed.positions[source] + image @ skewed.cell, axis=1)
    theirs = primitive_neighbor_list("d", [True] * 3, skewed.cell, skewed.positions, 5.0)
    np.testing.assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-12)
    assert (np.diff(source) >= 0).all()


def test_pair_energy_by_hand():
    radii = {"Li": 0.9, "O": 1.3}
    potential = load_potential("pair", depth=0.7, stiffness=1.2, cutoff=4.0, radii=radii)
    far_cell = Atoms("LiO", positions=[[0, 0, 0], [3.0, 0, 0]], cell=[20] * 3, pbc=True)
    x = np.exp(-1.2 * (3.0 - 2.2))
    (energy,), _ = potential.evaluate([far_cell])
    assert energy == pytest.approx(0.7 * (x**2 - 2 * x) * (1 - (3 / 4) ** 2) ** 3, rel=1e-12)


def test_pair_forces_are_finite_differences(skewed):
    potential, step = load_potential("pair", radii={"Cu": 1.2, "O": 0.7}), 1e-5
    (energy,), (forces,) = potential.evaluate([skewed])
    moves = np.eye(15).reshape(15, 5, 3) * step
    shifted = [skewed.copy() for _ in range(30)]
    for frame, move in zip(shifted, [*moves, *-moves], strict=True):
        frame.positions += move
    up, down = potential.evaluate(shifted)[0].reshape(2, 15)
    np.testing.assert_allclose(forces.ravel(), (down - up) / (2 * step), atol=1e-8)
    assert potential.evaluate([skewed.repeat((2, 1, 3))])[0][0] == pytest.approx(6 * energy, rel=1e-12)


def test_pair_is_smooth_at_its_cutoff_and_finite_at_zero():
    potential = load_potential("pair", cutoff=5.0)
    frames = [Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]], cell=[30] * 3, pbc=True) for r in (4.999, 5.0, 5.001, 0)]
    energies, forces = potential.evaluate(frames)
    assert np.abs(energies[:3]).max() < 1e-9
    assert np.abs(forces[:3]).max() < 1e-6
    assert np.isfinite(energies[3])
    assert (forces[3] == 0).all()


def test_ase_kind_is_the_calculator_itself():
    frames = [rattled(bulk(element, cubic=True), seed) for seed, element in enumerate(["Cu", "Al"])]
    energies, forces = load_potential("ase", calculator="ase.calculators.emt.EMT").evaluate(frames)
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        frame.calc = EMT()
        assert energy == frame.get_potential_energy()
        np.testing.assert_array_equal(force, frame.get_forces())


def test_broken_structure_touches_no_other():
    potential = load_potential("pair")
    good, broken = rattled(bulk("Cu", cubic=True)), bulk("Cu", cubic=True)
    broken.positions[1, 2] = np.nan
    energies, forces = potential.evaluate([good, broken, good])
    assert np.isnan(energies[1])
    assert np.isnan(forces[1]).all()
    assert energies[0] == energies[2] == potential.evaluate([good])[0][0]
    assert potential.evaluate([])[0].shape == (0,)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_batch_halves_itself_when_out_of_memory(monkeypatch, error):
    potential = load_potential("pair", atoms_per_batch=32)
    frames = [rattled(bulk("Cu", cubic=True), seed) for seed in range(9)]
    expected = potential.evaluate(frames)
    thrower = Thrower(potential, 8, error)
    monkeypatch.setattr(potential, "_evaluate_batch", thrower)
    energies, forces = potential.evaluate(frames)
    np.testing.assert_array_equal(energies, expected[0])
    np.testing.assert_array_equal(forces, expected[1])
    assert thrower.sizes == [32, 16, 8, 8, 8, 8, 4]
    assert potential.atoms_per_batch == 8


def test_one_structure_that_does_not_fit_and_other_errors(monkeypatch):
    potential, frame = load_potential("pair"), bulk("Cu", cubic=True)
    monkeypatch.setattr(potential, "_evaluate_batch", Thrower(potential, 3, MemoryError()))
    with pytest.raises(CryinGANError, match="one structure of 4 atoms"):
        potential.evaluate([frame, frame])
    monkeypatch.setattr(potential, "_evaluate_batch", Thrower(potential, 3, RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        potential.evaluate([frame])


def test_made_again_from_plain_options():
    potential = load_potential("pair", radii={"Cu": 1.2}, depth=0.3, references=[as_reference(bulk("Cu"), 0.0, 1e3)])
    frame = rattled(bulk("Cu", cubic=True))
    again = load_potential(**json.loads(json.dumps(potential.spec)))
    for copy in (again, pickle.loads(pickle.dumps(potential))):
        assert copy.card == potential.card
        assert copy.evaluate([frame])[0] == potential.evaluate([frame])[0]
    assert load_potential("pair", depth=0.4).card.hash != load_potential("pair").card.hash


MISUSES = {
    "kind": ({"kind": "gap"}, "unknown kind"),
    "option": ({"kind": "pair", "depht": 1.0}, "depht"),
    "calculator": ({"kind": "ase", "calculator": "ase.calculators.emt.Emt"}, "cannot be made"),
    "no path": ({"kind": "m3gnet"}, "needs a path"),
    "reference": ({"kind": "pair", "references": [{"energy": 1.0}]}, "a reference needs"),
    "wrong card": ({"kind": "pair", "references": [as_reference(MOS, -1.0)]}, r"MoS .* eV \(card: -1.000000\)"),
}


@pytest.mark.parametrize(("arguments", "message"), MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_one_clear_line(arguments, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        load_potential(**arguments)
    assert "\n" not in str(caught.value)


def test_unsuitable_structures_are_refused_before_anything_is_computed(monkeypatch):
    potential = load_potential("pair", radii={"Cu": 1.2})
    monkeypatch.setattr(potential, "_evaluate_batch", Thrower(potential, 0, AssertionError("computed")))
    with pytest.raises(CryinGANError, match="structure 1: pair does not know Mo, S"):
        potential.evaluate([bulk("Cu"), MOS])
    with pytest.raises(CryinGANError, match="structure 0: not periodic"):
        potential.evaluate([Atoms("Cu", cell=[5] * 3, pbc=[True, True, False])])
    with pytest.raises(CryinGANError, match="EMT"):
        load_potential("ase", calculator="ase.calculators.emt.EMT").evaluate([MOS])


@needs_weights
def test_m3gnet_reproduces_the_published_energy(m3gnet):
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

    potential = matgl.load_model(WEIGHTS)
    for layer in potential.model.graph_layers:
        layer.conv.node_update_ = types.MethodType(to_destination, layer.conv)
    return PESCalculator(potential, stress_unit="eV/A3", use_voigt=True)


@needs_weights
@pytest.mark.parametrize(("crystal", "start", "known"), [("NaCl", 5.8, 5.691), ("Si", 5.4, None)])
def test_m3gnet_lattice_constants_match_an_independent_run(m3gnet, crystal, start, known):
    atoms = bulk(crystal, "rocksalt" if crystal == "NaCl" else "diamond", a=start)
    independent = lattice_constant(atoms, matgl_calculator())
    ours = lattice_constant(atoms, Ours(m3gnet))
    assert ours == pytest.approx(independent, abs=LATTICE_TOLERANCE)
    if known:
        assert ours == pytest.approx(known, abs=LATTICE_TOLERANCE)


@needs_weights
def test_m3gnet_batch_equals_singles_and_matgl(m3gnet):
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
        assert alone == pytest.approx(energy, abs=BATCH_TOLERANCE)
        np.testing.assert_allclose(alone_force, force, atol=BATCH_TOLERANCE)
        if len(frame) > 1:
            frame.calc = calculator
            assert energy == pytest.approx(frame.get_potential_energy(), abs=2e-5 * len(frame))
            np.testing.assert_allclose(force, frame.get_forces(), atol=BATCH_TOLERANCE)
    again = m3gnet.evaluate(frames)
    np.testing.assert_array_equal(again[0], energies)
    np.testing.assert_array_equal(np.concatenate(again[1]), np.concatenate(forces))


@needs_weights
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_m3gnet_on_a_gpu_equals_the_cpu(m3gnet):
    frames = [rattled(MOS.repeat((2, 2, 1)), seed) for seed in range(3)]
    expected = m3gnet.evaluate(frames)
    energies, forces = load_potential("m3gnet", str(WEIGHTS), device="cuda").evaluate(frames)
    np.testing.assert_allclose(energies, expected[0], atol=1e-3)
    np.testing.assert_allclose(forces, expected[1], atol=1e-4)


def test_hub_name_is_fetched_and_a_failure_is_one_line(monkeypatch):
    import huggingface_hub

    asked = []

    def offline(repository, name):
        asked.append((repository, name))
        raise OSError("no network\nmany lines")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(CryinGANError, match=r"M3GNet-X is no folder.*no network$"):
        load_potential("m3gnet", "M3GNet-X")
    assert asked == [("materialyze/M3GNet-X", "model.pt")]


def test_a_structure_that_a_calculator_cannot_do_touches_no_other():
    frames = [Atoms("Cu", positions=[[x, 0, 0]], cell=[4, 4, 4], pbc=True) for x in (0.0, 1.0, 0.2)]
    energies, forces = load_potential("ase", calculator="tests.support.deadly.MoodyCalculator").evaluate(frames)
    assert energies[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(energies[1])
    assert np.isnan(forces[1]).all()
