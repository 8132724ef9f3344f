"""What every potential promises; a new one is one line of `SUBJECTS`."""

import importlib.util
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from tests.support.gap import tiny_gap
from tests.support.paths import ROOT
from tests.support.potentials import PUBLISHED_M3GNET, rattled

ROUNDINGS = 40  # that add up to a difference; measured: at most 10 (CHGNet), 2 (M3GNet)
HIDDEN_ENERGY = 10.0  # eV/atom; what cancels in energies and forces is rounded, too


def crystals(name: str, structure: str, constant: float) -> list[Atoms]:
    """Two rattled crystals of different size and shape, thinner than a cut-off.

    A potential with a kink at its cut-off needs a lattice constant that puts no shell of neighbours there.
    """
    cubic = bulk(name, structure, a=constant, cubic=True)
    thin = bulk(name, structure, a=1.03 * constant).repeat((2, 1, 1))
    return [rattled(cubic, 1, 0.05), rattled(thin, 2, 0.05)]


def skewed() -> Atoms:
    """A left-handed cell thinner than the cut-off, with atoms outside of it."""
    fractional = np.random.default_rng(0).uniform(-2, 2, (5, 3))
    return Atoms("Cu2O3", scaled_positions=fractional, cell=[[3, 0, 0], [1, -4, 0], [0.3, 0.4, 5]], pbc=True)


@dataclass(frozen=True)
class Subject:
    """A potential and what it is asked.

    Attributes:
        arguments: of `load_potential`.
        frames: structures that it knows.
        unknown: chemical symbol that it does not know.
        missing: why it cannot be tested here, if so.
        epsilon: of the numbers that it computes with.
        step: of central differences, Angstrom: differences of energies must be large against their rounding.
        slope_tolerance: of forces against central differences with that step, eV/Angstrom.
        make: makes the file of the potential, if it is made for the test.
    """

    arguments: dict
    frames: list[Atoms]
    unknown: str
    missing: str = ""
    epsilon: float = float(np.finfo(np.float64).eps)
    step: float = 1e-5
    slope_tolerance: float = 1e-8
    make: Callable[[], Path] | None = None


SINGLE = {"epsilon": float(np.finfo(np.float32).eps), "step": 5e-3, "slope_tolerance": 1e-3}
LARGE_COEFFICIENTS = {"epsilon": 1e-12, "step": 1e-4, "slope_tolerance": 1e-5}  # those of a GAP cancel
LENNARD_JONES = {"sigma": 2.3, "epsilon": 0.4, "rc": 6.0, "smooth": True}
SUBJECTS = {
    "pair": Subject(
        {"kind": "pair", "radii": {"Cu": 1.2, "O": 0.7}}, [skewed(), *crystals("CuO", "rocksalt", 4.2)], "Mo"
    ),
    "ase-emt": Subject({"kind": "ase", "calculator": "ase.calculators.emt.EMT"}, crystals("Cu", "fcc", 3.6), "Mo"),
    "ase-lj": Subject(
        {
            "kind": "ase",
            "calculator": "ase.calculators.lj.LennardJones",
            "arguments": LENNARD_JONES,
            "elements": ["Cu"],
        },
        crystals("Cu", "fcc", 3.6),
        "Mo",
    ),
    "m3gnet-li2o_licl": Subject(
        {"kind": "m3gnet", "path": str(ROOT / "data/interface/li2o_licl/potential")},
        crystals("LiCl", "rocksalt", 5.5),
        "Mo",
        **SINGLE,
    ),
    "m3gnet-published": Subject(
        {"kind": "m3gnet", "path": str(PUBLISHED_M3GNET)},
        crystals("NaCl", "rocksalt", 5.25),
        "Og",
        "" if PUBLISHED_M3GNET.is_dir() else "no M3GNet weights beside the repository",
        **SINGLE,
    ),
    "chgnet": Subject(
        {"kind": "chgnet"},
        crystals("NaCl", "rocksalt", 5.7),
        "Og",
        "" if importlib.util.find_spec("chgnet") else "chgnet is not installed",
        **SINGLE,
    ),
    "tersoff": Subject(
        {"kind": "tersoff"},
        [*crystals("Si", "diamond", 5.43), rattled(bulk("Si", "fcc", 4.0, cubic=True))],
        "Mo",
        slope_tolerance=1e-7,  # stiff where atoms cross the cut-off
    ),
    "gap": Subject(
        {"kind": "gap"},
        crystals("Si", "diamond", 5.43),
        "Ge",
        "" if importlib.util.find_spec("quippy") else "quippy-ase is not installed",
        make=tiny_gap,
        **LARGE_COEFFICIENTS,
    ),
}


@pytest.fixture(scope="module", params=SUBJECTS.values(), ids=SUBJECTS.keys())
def subject(request):
    if request.param.missing:
        pytest.skip(request.param.missing)
    if request.param.make:
        return replace(request.param, arguments={**request.param.arguments, "path": str(request.param.make())})
    return request.param


@pytest.fixture(scope="module")
def potential(subject):
    return load_potential(**subject.arguments)


@pytest.fixture(scope="module")
def expected(subject, potential):
    """Energies and forces of the subject's structures."""
    return potential.evaluate(subject.frames)


def assert_same(subject, found, expected):
    """Equal within what rounding allows: of energies, and of coordinates, which forces turn into energies."""
    for frame, energy, force, known, known_force in zip(subject.frames, *found, *expected, strict=True):
        per_atom, steepest = abs(known) / len(frame), np.abs(known_force).max() * np.abs(frame.positions).max()
        tolerance = ROUNDINGS * subject.epsilon * (HIDDEN_ENERGY + per_atom + steepest)
        assert abs(energy - known) / len(frame) < tolerance
        np.testing.assert_allclose(force, known_force, rtol=0, atol=tolerance)


def test_shapes_types_and_no_structures(potential, subject, expected):
    energies, forces = expected
    assert energies.dtype == np.float64
    assert energies.shape == (len(subject.frames),)
    assert [force.dtype for force in forces] == [np.float64] * len(energies)
    assert [force.shape for force in forces] == [(len(frame), 3) for frame in subject.frames]
    energies, forces = potential.evaluate([])
    assert energies.shape == (0,)
    assert forces == []


def test_a_translation_changes_nothing(potential, subject, expected):
    moved = [frame.copy() for frame in subject.frames]
    for frame in moved:
        frame.translate([0.37, 1.9, -2.3])
    assert_same(subject, potential.evaluate(moved), expected)


def test_the_order_of_atoms_changes_nothing(potential, subject, expected):
    energies, forces = potential.evaluate([frame[::-1] for frame in subject.frames])
    assert_same(subject, (energies, [force[::-1] for force in forces]), expected)


def test_a_supercell_has_twice_the_energy_and_the_same_forces(potential, subject, expected):
    energies, forces = potential.evaluate([frame.repeat((2, 1, 1)) for frame in subject.frames])
    for half in (0, 1):
        assert_same(subject, (energies / 2, [np.split(force, 2)[half] for force in forces]), expected)


def test_a_batch_is_its_structures_one_by_one(potential, subject, expected):
    singles = [potential.evaluate([frame]) for frame in subject.frames]
    assert_same(subject, ([energy for (energy,), _ in singles], [force for _, (force,) in singles]), expected)


def test_forces_are_central_differences_of_the_energy(potential, subject, expected):
    for frame, force in zip(subject.frames, expected[1], strict=True):
        moves = subject.step * np.eye(force.size).reshape(-1, *force.shape)
        moved = [frame.copy() for _ in range(2 * force.size)]
        for copy, move in zip(moved, [*moves, *-moves], strict=True):
            copy.positions += move
        up, down = potential.evaluate(moved)[0].reshape(2, *force.shape)
        np.testing.assert_allclose(force, (down - up) / (2 * subject.step), rtol=0, atol=subject.slope_tolerance)


def test_a_broken_structure_touches_no_other(potential, subject, expected):
    broken = subject.frames[0].copy()
    broken.positions[1, 2] = np.nan
    energies, forces = potential.evaluate([subject.frames[0], broken, *subject.frames[1:]])
    assert np.isnan(energies[1])
    assert np.isnan(forces.pop(1)).all()
    np.testing.assert_array_equal(np.delete(energies, 1), expected[0])
    np.testing.assert_array_equal(np.concatenate(forces), np.concatenate(expected[1]))


def test_an_unknown_element_is_one_clear_error(potential, subject):
    strange = subject.frames[0].copy()
    strange.symbols[0] = subject.unknown
    with pytest.raises(CryinGANError, match=rf"{potential.card.name}.*\b{subject.unknown}\b") as caught:
        potential.evaluate([subject.frames[0], strange])
    assert "\n" not in str(caught.value)


def test_a_copy_in_another_process_gives_the_same_numbers(potential, subject, expected):
    from_settings = load_potential(**json.loads(json.dumps(potential.spec)))
    for copy in (pickle.loads(pickle.dumps(potential)), from_settings):
        assert copy.card == potential.card
        assert (copy.device, copy.atoms_per_batch) == (potential.device, potential.atoms_per_batch)
        energies, forces = copy.evaluate(subject.frames)
        np.testing.assert_array_equal(energies, expected[0])
        np.testing.assert_array_equal(np.concatenate(forces), np.concatenate(expected[1]))
