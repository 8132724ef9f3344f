"""Fixed atoms in files: read, kept by `Crystals` and written as other programs have them."""

import logging
from itertools import product

import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixCom, FixedPlane, FixScaled, Hookean
from ase.io import read, write

from cryingan.errors import CryinGANError
from cryingan.structures import files
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.lenient import read_candidates, salvage_structures

SLAB = bulk("Mg") * (2, 2, 1)  # hexagonal: a along x, b oblique, c along z
DIRECTIONS = {  # constraint: Cartesian directions of atoms 0 to 2
    "atoms": ([FixAtoms([0, 2])], ["xyz", "", "xyz"]),
    "cartesian": ([FixCartesian([0], (0, 0, 1)), FixAtoms([1])], ["z", "xyz", ""]),
    "in the plane": ([FixScaled([1], (1, 1, 0))], ["", "xy", ""]),
    "along b": ([FixScaled([2], (0, 1, 0))], ["", "", "y"]),  # the planes of constant b are normal to y
    "none": ([], ["", "", ""]),
}
NOT_KEPT = [FixBondLengths([[0, 1]]), FixCom(), FixedPlane(0, (0, 0, 1)), Hookean(0, 1, 2.0, 1.5)]
# What ASE itself loses when it writes such a file.
LOST_BY_ASE = {("extxyz", "in the plane"), ("extxyz", "along b"), ("vasp", "cartesian")}


def constrained(constraints, n=2):
    frames = [SLAB.copy() for _ in range(n)]
    for frame in frames:
        frame.rattle(0.05, seed=len(frame))
        frame.set_constraint(constraints)
    return frames


def mask(directions):
    fixed = [["xyz"[axis] in each for axis in range(3)] for each in directions]
    return np.array(fixed + [[False] * 3] * (len(SLAB) - len(fixed)))


@pytest.mark.parametrize(
    ("form", "kind"), sorted(set(product(["traj", "json", "vasp", "extxyz"], DIRECTIONS)) - LOST_BY_ASE)
)
def test_constraints_of_files_are_kept(tmp_path, form, kind):
    constraints, directions = DIRECTIONS[kind]
    path = tmp_path / ("POSCAR" if form == "vasp" else f"slab.{form}")
    write(path, constrained(constraints, 1 if form in ("vasp", "json") else 2))
    for read_all in (read_structures, salvage_structures):
        crystals = read_all(path)
        found = np.zeros(crystals.fractional.shape, bool) if crystals.fixed is None else crystals.fixed
        assert (found == mask(directions)).all()


@pytest.mark.parametrize("kind", DIRECTIONS)
@pytest.mark.parametrize("form", ["extxyz", "poscar"])
def test_written_files_hold_the_fixed_atoms(tmp_path, form, kind):
    crystals = Crystals.from_ase(constrained(DIRECTIONS[kind][0]))
    path = tmp_path / ("slab.extxyz" if form == "extxyz" else "slabs")
    write_structures(crystals, path, form)
    file = path if form == "extxyz" else path / "0002.vasp"
    assert read_structures(file)[-1].same_as(crystals[1])
    moved = read(file, -1)  # by ASE's own constraints
    moved.set_positions(moved.positions + 0.1)
    still = np.isclose(moved.positions, read(file, -1).positions, atol=1e-9)
    if kind != "along b":  # moving along a is moving along b, too
        assert (still == mask(DIRECTIONS[kind][1])).all()


def test_frames_may_fix_different_atoms(tmp_path):
    frames = constrained([FixAtoms([0])], 3)
    frames[1].set_constraint(FixAtoms([4, 5]))
    frames[2].set_constraint()
    write(tmp_path / "slab.traj", frames)
    fixed = read_structures(tmp_path / "slab.traj").fixed.all(axis=2)
    assert [np.flatnonzero(one).tolist() for one in fixed] == [[0], [4, 5], []]
    write_structures(read_structures(tmp_path / "slab.traj"), tmp_path / "again.extxyz")
    assert (read_structures(tmp_path / "again.extxyz").fixed.all(axis=2) == fixed).all()


def test_fixed_atoms_follow_their_atoms(tmp_path):
    frames = constrained([FixAtoms([1])])
    for frame in frames:
        frame.symbols[1:3] = "Li"
    frames[1] = frames[1][[2, 0, 1, *range(3, len(SLAB))]]  # sort_species brings Li of the second frame back
    write(tmp_path / "slab.traj", frames)
    crystals = read_structures(tmp_path / "slab.traj", sort_species=True)
    assert [np.flatnonzero(one).tolist() for one in crystals.fixed.all(axis=2)] == [[1], [2]]
    grouped = crystals.reordered(crystals.grouping)[-1]
    assert np.flatnonzero(grouped.fixed[0].all(axis=1)).tolist() == [len(SLAB) - 1]
    assert not grouped.same_as(Crystals(grouped.fractional, grouped.cell, grouped.species))


def test_the_cache_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SLOW_SECONDS", 0)
    write(tmp_path / "slab.traj", constrained([FixAtoms([3])]))
    first = read_structures(tmp_path / "slab.traj")
    monkeypatch.setattr(files, "parse", None)
    assert read_structures(tmp_path / "slab.traj").same_as(first)


@pytest.mark.parametrize("constraint", NOT_KEPT, ids=lambda one: type(one).__name__)
def test_other_constraints_are_named(tmp_path, constraint, caplog):
    frames = constrained([FixAtoms([0])], 3)
    frames[2].set_constraint([FixAtoms([0]), constraint])
    write(tmp_path / "slab.traj", frames)
    with pytest.raises(CryinGANError, match=f"slab.traj, frame 3: {type(constraint).__name__} cannot be kept"):
        salvage_structures(tmp_path / "slab.traj")
    assert len(read_structures(tmp_path / "slab.traj")) == 3  # to train on them is no reason to refuse
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert all(candidate.atoms is not None for candidate in read_candidates(tmp_path / "slab.traj"))


def test_directions_that_a_format_cannot_hold(tmp_path):
    skewed = bulk("Cu")
    skewed.set_constraint(FixScaled([0], (False, True, False)))
    write(tmp_path / "POSCAR", skewed)
    with pytest.raises(CryinGANError, match="POSCAR, frame 1, atom 1: selective dynamics T F T fixes a direction"):
        salvage_structures(tmp_path / "POSCAR")
    crystals = Crystals.from_ase(constrained([FixCartesian([0], (1, 0, 0))]))  # x is along no lattice plane's normal
    with pytest.raises(CryinGANError, match="atom 1 is fixed in a Cartesian direction that is none of the cell's"):
        write_structures(crystals, tmp_path / "slabs", "poscar")
    assert not (tmp_path / "slabs").exists()


def test_cif_says_that_it_cannot_hold_them(tmp_path, caplog):
    write_structures(Crystals.from_ase(constrained([FixAtoms([0])])), tmp_path / "slabs", "cif")
    assert "CIF does not hold which atoms are fixed" in caplog.text
