"""Bonds and refusals, against ASE and pymatgen."""

import re

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from pymatgen.core import Structure

from cryingan.structures.files import read_structures
from data.silicon.checks import bonds, counted, refusal, second_peak
from tests.support.paths import SHARED
from tests.support.potentials import rattled

TRIAL = SHARED / "reference/asi_256_trial.extxyz.gz"
needs_trial = pytest.mark.skipif(not TRIAL.is_file(), reason="no reference structures beside the repository")

DIAMOND = bulk("Si", a=5.431, cubic=True).repeat(2)


def rough(seed, size=0.3):
    return rattled(DIAMOND, seed, size)


@pytest.mark.parametrize("seed", range(3))
def test_bonds_are_those_of_pymatgen_and_ase(seed):
    atoms = rough(seed)
    found = bonds(atoms.positions, atoms.cell)
    around = Structure.from_ase_atoms(atoms).get_all_neighbors(2.85)
    assert found.counts.tolist() == [len(one) for one in around]
    np.testing.assert_allclose(np.sort(found.lengths), np.sort(neighbor_list("d", atoms, 2.85)), atol=1e-10)
    first, second, vectors = neighbor_list("ijD", atoms, 2.85)
    angles = []
    for atom in range(len(atoms)):
        own = vectors[first == atom]
        for one in range(len(own)):
            for other in range(one + 1, len(own)):
                cosine = own[one] @ own[other] / np.linalg.norm(own[one]) / np.linalg.norm(own[other])
                angles.append(np.degrees(np.arccos(cosine)))
    np.testing.assert_allclose(np.sort(found.angles), np.sort(angles), atol=1e-6)
    assert len(second) == len(found.lengths)


def test_the_second_peak_by_hand():
    """Diamond has twelve second neighbours at 3.84 Angstrom, the only ones in their bin."""
    shell = 4 / 3 * np.pi * (3.9**3 - 3.8**3)
    density = 8 / 5.431**3
    assert second_peak(DIAMOND.positions, DIAMOND.cell) == pytest.approx(12 / (shell * density), rel=1e-9)


def shifted():
    """Diamond with one sublattice moved: four neighbours and angles that scatter, and a crystal all the same."""
    atoms = DIAMOND.copy()
    atoms.positions[1::2, 0] += 0.4
    return atoms


def replaced(atoms, index, place):
    atoms = atoms.copy()
    atoms.positions[index] = place
    return atoms


@pytest.mark.parametrize(
    ("atoms", "reason"),
    [
        (replaced(DIAMOND, 0, DIAMOND.positions[1] + [0.3, 0, 0]), "0.30 Angstrom apart"),
        (bulk("Si", "sc", a=2.7, cubic=True).repeat(3), "0.0 % of the atoms have four neighbours"),
        (bulk("Si", "fcc", a=3.9, cubic=True).repeat(2), "an atom has 12 neighbours"),
        (bulk("Si", "diamond", a=7.0, cubic=True), "an atom has 0 neighbours"),
        (rattled(DIAMOND, 0, 0.1), "bond angles scatter by .* it has crystallised"),
        (shifted(), "the second peak of g.r. is .* high"),
    ],
)
def test_what_is_no_amorphous_silicon_is_refused(atoms, reason):
    assert re.search(reason, refusal(atoms.positions, atoms.cell))


def test_reasons_say_what_was_found_only_where_it_is_the_same():
    """Each general one is met by the reasons of structures that break its limit."""
    lone, dense = bulk("Si", "diamond", a=7.0, cubic=True), bulk("Si", "fcc", a=3.9, cubic=True).repeat(2)
    near = [replaced(DIAMOND, 0, DIAMOND.positions[1] + [apart, 0, 0]) for apart in (0.3, 0.4)]
    rare = [DIAMOND[list(range(vacancies, 64))] for vacancies in (4, 5)]
    crystals = [rattled(DIAMOND, 0, size) for size in (0.05, 0.1)]
    high = [shifted(), shifted()]
    high[1].set_cell(1.01 * high[1].cell, scale_atoms=True)
    general = {
        "an atom has fewer than 2 or more than 6 neighbours within 2.85 Angstrom": [lone, dense],
        "two atoms are less than 2.0 Angstrom apart": near,
        "less than 85 % of the atoms have four neighbours": rare,
        "bond angles scatter by less than 8.0 degrees: it has crystallised": crystals,
        "the second peak of g(r) is more than 3.5 high: it has crystallised": high,
    }
    for text, structures in general.items():
        found = [refusal(atoms.positions, atoms.cell) for atoms in structures]
        assert counted(found) == {text: 2}
        assert counted(found[:1] * 3) == {found[0]: 3}
    assert counted(["max_steps", "max_steps", "a", "b"]) == {"max_steps": 2, "a": 1, "b": 1}


@needs_trial
def test_amorphous_silicon_is_accepted():
    trial = read_structures(TRIAL)
    assert [refusal(one @ trial.cell, trial.cell) for one in trial.fractional[:5]] == [""] * 5
