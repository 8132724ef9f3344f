"""Fixed atoms in repair and relaxation, against ASE's optimizer with ASE's constraints."""

import json
import logging

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms, FixCartesian
from ase.io import read
from ase.optimize import FIRE

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.fixed import canonical_rule, report_fixed, with_fixed
from cryingan.relaxation.journal import ROWS
from cryingan.relaxation.relax import relax
from cryingan.relaxation.repair import repair
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.trajectory import read_trajectories
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from tests.support.relaxations import SAME_STEP, assert_same, distance, here, quietly, rattled

FIXED = {"atoms": [FixAtoms([0, 3])], "along z": [FixCartesian([1, 2], (0, 0, 1)), FixAtoms([5])]}
EMT = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}


class OfPotential(Calculator):
    implemented_properties = ("energy", "forces")

    def __init__(self, potential):
        super().__init__()
        self.potential = potential

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        [energy], [forces] = self.potential.evaluate([self.atoms])
        self.results = {"energy": energy, "forces": forces}


def constrained(constraints, n=2):
    frames = rattled(n, stdev=0.15).to_ase()
    for frame in frames:
        frame.set_constraint(constraints)
    return Crystals.from_ase(frames)


def moved(results, start):
    """Longest step in a Cartesian direction that was fixed, by the nearest image, Angstrom."""
    step = results.crystals.fractional - start.fractional
    return np.abs(((step - np.round(step)) @ start.cell)[start.fixed]).max()


@pytest.mark.parametrize("constraints", FIXED.values(), ids=FIXED)
@pytest.mark.parametrize("potential", [{"kind": "pair"}, EMT], ids=["pair", "ase"])
def test_fire_ends_where_that_of_ase_ends(constraints, potential):
    potential = load_potential(**potential)
    start = constrained(constraints)
    results = here(start, potential, fmax=0.01)
    assert results.converged.all()
    for i, atoms in enumerate(start.to_ase()):
        atoms.calc = OfPotential(potential)
        with FIRE(atoms, logfile=None) as optimizer:
            assert optimizer.run(fmax=0.01, steps=1000)
        assert results.steps[i] == optimizer.nsteps
        theirs = Crystals.from_ase([atoms])
        assert distance(theirs, results.crystals[i]) < 1e-6
        assert results.fmax[i] == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max(), abs=1e-6)
    assert moved(results, start) < 1e-14


@pytest.mark.parametrize("how", [{"optimizer": "fire"}, {"optimizer": "cg"}], ids=["fire", "cg"])
def test_fixed_atoms_keep_every_bit(pair, how, tmp_path):
    start = constrained(FIXED["atoms"], 3)
    results = here(start, pair, output=tmp_path, **how)
    assert results.converged.all()
    whole = start.fixed.all(axis=2)
    assert (results.crystals.fractional[whole] == start.fractional[whole]).all()
    assert (results.crystals.fractional[~whole] != start.fractional[~whole]).any(axis=1).all()
    for atoms, before in zip(read(tmp_path / "relaxed.extxyz", ":"), start.to_ase(), strict=True):
        assert atoms.constraints[0].index.tolist() == [0, 3]
        np.testing.assert_allclose(atoms.positions[[0, 3]], before.positions[[0, 3]], rtol=0, atol=1e-8)


def test_batches_processes_and_single_structures_agree(pair):
    start = constrained(FIXED["along z"], 3)
    at_once = here(start, pair)
    assert_same(at_once, quietly(start, pair, processes=2), SAME_STEP)
    for i in range(3):
        assert distance(here(start[i], pair).crystals, at_once.crystals[i]) < SAME_STEP


def test_structures_may_fix_different_atoms(pair):
    start = constrained([], 3)
    fixed = np.zeros(start.fractional.shape, bool)
    fixed[0, 1] = fixed[2, [4, 6]] = True
    start = Crystals(start.fractional, start.cell, start.species, fixed)
    results = here(start, pair)
    assert (results.crystals.fixed == fixed).all()
    assert moved(results, start) == 0
    free = Crystals(start.fractional, start.cell, start.species)
    assert distance(here(free, pair).crystals[1], results.crystals[1]) < SAME_STEP


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
def test_all_atoms_fixed_end_at_once(pair, optimizer, caplog):
    start = rattled(2)
    with caplog.at_level(logging.INFO, "cryingan"):
        results = here(start, pair, optimizer=optimizer, fixed=["Cu", "Au"])
    assert results.reason.tolist() == ["converged"] * 2
    assert (results.steps == 0).all()
    assert (results.fmax == 0).all()
    np.testing.assert_allclose(results.energy_final, pair.evaluate(start.to_ase())[0], rtol=1e-12)
    assert (results.crystals.fractional == start.fractional).all()
    assert "all atoms are fixed" in caplog.text


def test_frames_keep_the_forces_on_fixed_atoms(pair, tmp_path):
    """They are training data of a potential."""
    start = constrained(FIXED["atoms"], 1)
    here(start, pair, output=tmp_path, frames=3)
    [(_, frames)] = read_trajectories(tmp_path)
    [forces] = pair.evaluate(start.to_ase())[1]
    np.testing.assert_allclose(frames.forces[0], forces, atol=1e-4)
    assert np.abs(frames.forces[0, [0, 3]]).max() > 0.1


def test_a_killed_relaxation_resumes_with_its_fixed_atoms(pair, tmp_path):
    start = rattled(3, stdev=0.15)
    expected = here(start, pair, fixed=[0, 3], output=tmp_path / "whole")
    here(start, pair, fixed=[0, 3], output=tmp_path / "cut")
    rows = (tmp_path / "cut" / ROWS).read_bytes().splitlines(keepends=True)
    (tmp_path / "cut" / ROWS).write_bytes(b"".join(rows[:2]))
    again = here(start, pair, fixed=[3, 0, 3], output=tmp_path / "cut")
    assert_same(expected, again, 1e-8)
    assert (again.crystals.fractional[:, [0, 3]] == start.fractional[:, [0, 3]]).all()
    assert (tmp_path / "cut/relaxed.extxyz").read_bytes() == (tmp_path / "whole/relaxed.extxyz").read_bytes()


def test_other_fixed_atoms_need_another_folder(pair, tmp_path):
    start = rattled(1, stdev=0.1)
    here(start, pair, output=tmp_path)
    with pytest.raises(OtherResultsError, match=r"settings \(fixed is None, here \[1\]\)"):
        here(start, pair, output=tmp_path, fixed=[1])
    with pytest.raises(OtherResultsError, match="other structures"):
        here(with_fixed(start, [1]), pair, output=tmp_path)
    manifest = json.loads((tmp_path / "relax.json").read_text())
    del manifest["settings"]["fixed"]  # as in folders of earlier versions
    (tmp_path / "relax.json").write_text(json.dumps(manifest))
    assert here(start, pair, output=tmp_path).converged.all()


def test_relaxed_structures_relax_again_with_the_same_fixed_atoms(pair, tmp_path):
    first = here(rattled(2), pair, fixed=["Au"])
    write_structures(first.crystals, tmp_path / "relaxed.extxyz")
    again = here(read_structures(tmp_path / "relaxed.extxyz"), pair)
    assert (again.crystals.fixed == first.crystals.fixed).all()
    assert again.steps.max() == 0


SLAB = Crystals(
    [[[0.1, 0.1, 0.05], [0.6, 0.1, 0.2], [0.1, 0.6, 0.3], [0.6, 0.6, 0.99]]],
    [[6, 0, 0], [0, 6, 0], [0, 3, 10]],  # heights are along z, though c is not
    ["Li", "Li", "Cl", "O"],
)


@pytest.mark.parametrize(
    ("rule", "atoms"),
    [
        ("below:3.0", [0, 1, 3]),  # atom 3 is 0.1 Angstrom below the face
        ("below:3.001", [0, 1, 2, 3]),
        ("below: 0", [3]),
        ("below:-0.2", []),
        ([2, 0], [0, 2]),
        (np.arange(2), [0, 1]),
        (["Cl", "O"], [2, 3]),
        ((1, "O"), [1, 3]),
        ([], []),
        (None, []),
    ],
)
def test_rules(rule, atoms):
    fixed = with_fixed(SLAB, rule).fixed
    assert (np.flatnonzero(fixed[0].all(axis=1)).tolist() if fixed is not None else []) == atoms


def test_rules_come_on_top_of_what_is_fixed():
    both = with_fixed(with_fixed(SLAB, [0]), ["Cl"])
    assert np.flatnonzero(both.fixed[0].all(axis=1)).tolist() == [0, 2]


@pytest.mark.parametrize(
    "rule",
    ["3.0", "below", "below:", "below:low", "below:nan", "above:3", "Li", 3, 3.0, [1.5], [-1], [True, False], {}],
)
def test_no_rules(rule):
    with pytest.raises(CryinGANError, match="must be below:Z with a height in Angstrom, a list of atoms") as error:
        RelaxSettings(fixed=rule)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("rule", "said"), [([4], "no atom 4; atoms are 0 to 3"), (["Na"], "Na; there are Li, Cl, O")])
def test_rules_that_name_what_is_not_there(pair, rule, said):
    with pytest.raises(CryinGANError, match=said):
        relax(SLAB, pair, fixed=rule)


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ([FixAtoms([0, 3])], "2 of 8 atoms fixed"),
        ([FixCartesian([0, 1, 2], (0, 0, 1))], "3 of 8 atoms fixed in some directions only"),
        (FIXED["along z"], "1 of 8 atoms fixed, 2 more in some directions only"),
    ],
)
def test_how_many_atoms_are_fixed_is_said(constraints, said, caplog):
    caplog.set_level(logging.INFO, "cryingan")
    report_fixed(constrained(constraints))
    assert caplog.messages == [f"relaxing with {said}"]


def test_a_rule_that_fixes_nothing_says_so(caplog):
    assert with_fixed(SLAB, "below:-1").fixed is None
    assert "relax.fixed=below:-1.0 fixes no atom" in caplog.text


def test_a_rule_has_one_spelling():
    assert canonical_rule("below:3") == canonical_rule("below:3.00") == "below:3.0"
    assert canonical_rule([2, 1, 2]) == canonical_rule(np.array([1, 2])) == [1, 2]
    assert canonical_rule(canonical_rule(["Li", 3, "Cl"])) == [3, "Cl", "Li"]


CUBE = 12.0 * np.eye(3)


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ([], [[1.0, 1, 1], [2.6, 1, 1], [6.0, 6, 6]]),
        ([0], [[1.0, 1, 1], [2.6, 1, 1], [6.0, 6, 6]]),
        ([1], [[0.4, 1, 1], [2.0, 1, 1], [6.0, 6, 6]]),
    ],
)
def test_repair_moves_free_atoms_only(fixed, expected):
    start = Crystals(np.array([[[1.0, 1, 1], [2.0, 1, 1], [6, 6, 6]]]) / 12, CUBE, ["Li", "Cl", "O"])
    repaired, log = repair(with_fixed(start, fixed))
    assert log.accepted.all()
    np.testing.assert_allclose(repaired.fractional[0] * 12, expected, atol=1e-12)


def test_a_close_pair_of_fixed_atoms_is_not_accepted():
    start = Crystals(np.array([[[1.0, 1, 1], [2.0, 1, 1], [2, 1.5, 1]]]) / 12, CUBE, ["Li", "Cl", "O"])
    repaired, log = repair(with_fixed(start, [0, 1]))
    assert not log.accepted.any()
    np.testing.assert_allclose(repaired.fractional[0, :2], start.fractional[0, :2], rtol=0, atol=1e-15)
    assert log.close_pairs.tolist() == [3]


def test_repair_of_crowded_structures_moves_no_fixed_atom():
    rng = np.random.default_rng(3)
    start = with_fixed(Crystals(rng.random((20, 12, 3)), CUBE, ["Li"] * 12), "below:4")
    repaired, log = repair(start)
    still = start.fixed.all(axis=2)
    np.testing.assert_allclose(repaired.fractional[still], start.fractional[still], rtol=0, atol=1e-15)
    assert (repaired.fixed == start.fixed).all()
    assert log.accepted.sum() >= 10
    assert (repair(repaired[log.accepted])[1].close_pairs == 0).all()
