"""What cannot be right in a frame is refused."""

import ase.build
import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from tests.support.structure_files import (
    ATOMS,
    FRAME,
    KEYS,
    LATTICE,
    MOVED,
    TRICLINIC,
    changed,
    check_refusal,
    keys,
    refusal,
    text,
)

REFUSED = {
    "placeholder element": (text(changed(FRAME, 4, "X 2 0 0")), "frame 1, atom 2: unknown element"),
    "NaN position": (text(FRAME, changed(MOVED, 4, "O 2.0 nan 0.4")), "frame 2, atom 2: position (2, nan, 0.4)"),
    "infinite position": (text(changed(FRAME, 6, "O inf 3.0 5.0")), "frame 1, atom 4: position (inf"),
    "absurd position": (text(changed(FRAME, 6, "O 1e300 3.0 5.0")), "frame 1, atom 4: position (1e+300"),
    "no Lattice": (text(FRAME, changed(MOVED, 2, "energy=1.0")), "frame 2 has no cell"),
    "no comment": (text(changed(FRAME, 2, "")), "frame 1 has no cell"),
    "zero lattice": (text(keys(LATTICE, "0 0 0 0 0 0 0 0 0")), "frame 1 has no cell"),
    "singular lattice": (text(keys(LATTICE, "4 0 0 0 4 0 4 4 0")), "frame 1: the cell is flat"),
    "two vectors": (text(keys(LATTICE, "4 0 0 0 4 0 0 0 0")), "frame 1: the cell is flat"),
    "NaN lattice": (text(keys(LATTICE, "nan 0 0 0 4 0 0 0 4")), "frame 1: the cell is not finite"),
    "huge lattice": (text(keys(LATTICE, "1e200 0 0 0 1e200 0 0 0 1e200")), "frame 1: the cell is not finite or beyond"),
    "pbc false": (text(keys("T T T", "F F F")), 'frame 1: pbc is "F F F"; crystals are periodic'),
    "pbc mixed": (text(FRAME, keys("T T T", "T T F")), 'frame 2: pbc is "T T F"'),
    "atom counts": (text(FRAME, ["3", KEYS, *ATOMS[:3]]), "frame 2 has 3 atoms, but frame 1 has 4"),
    "cells": (text(FRAME, MOVED, keys("7.0", "7.002")), "frame 3: the cell differs from frame 1's by 0.002"),
    "species order": (
        text(FRAME, ["4", KEYS, *ATOMS[:2], ATOMS[3], ATOMS[2]]),
        "frame 2, atom 3 is O, but Li in frame 1; train.py data.sort_species=true",
    ),
    "composition": (text(FRAME, changed(MOVED, 3, "O 0 0 0")), "frame 2 is O3Li1, but frame 1 is Li2O2"),
    "coincident": (text(FRAME, changed(MOVED, 6, "O 3.0 2.0 1.0")), "frame 2: atoms 3 and 4 are 0.000 Angstrom apart"),
    "too close": (text(changed(FRAME, 6, "O 3.05 2.05 1.0")), "frame 1: atoms 3 and 4 are 0.071 Angstrom apart"),
    "too close across a corner": (
        text(changed(FRAME, 6, "O 12.58 6.2 -6.7")),  # atom 1 + 2a + b - c, 0.02 Angstrom aside
        "frame 1: atoms 1 and 4",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_right_is_refused_in_one_line(tmp_path, content, message):
    check_refusal(tmp_path / "set.extxyz", content, message)


def test_a_partly_occupied_site_is_refused(tmp_path):
    write_structures(Crystals(np.full((1, 1, 3), 0.25), TRICLINIC, ("Li",)), tmp_path / "cifs", "cif")
    content = (tmp_path / "cifs" / "0001.cif").read_text()
    assert " 1.0000" in content
    (tmp_path / "half.cif").write_text(content.replace(" 1.0000", " 0.5000"))
    assert "partly occupied by Li" in refusal(tmp_path / "half.cif")


def test_frames_are_matched_to_the_first_by_species_when_asked(tmp_path):
    path = tmp_path / "set.extxyz"
    path.write_text(text(FRAME, ["4", KEYS, *(ATOMS[i] for i in (1, 3, 0, 2))]))
    assert "sort_species" in refusal(path)
    crystals = read_structures(path, sort_species=True)
    assert crystals.species == ("Li", "O", "Li", "O")
    np.testing.assert_array_equal(crystals.fractional[0], crystals.fractional[1])
    grid = ase.build.bulk("Li", "sc", a=3.0).repeat((3, 3, 4))
    grid.symbols = ["Li", "O", "Zr"] * 12
    grouped = grid[sorted(range(36), key=lambda atom: grid.symbols[atom])]
    ase.io.write(path, [grid, grouped])
    many = read_structures(path, sort_species=True)
    np.testing.assert_allclose(many.fractional[1], many.fractional[0], atol=1e-12)
    path.write_text(text(FRAME, changed(MOVED, 3, "O 0 0 0")))
    assert "compositions must be equal" in refusal(path, sort_species=True)


@pytest.mark.parametrize("apart", [0.09, 0.11])
@pytest.mark.parametrize("seed", range(20))
def test_close_pairs_are_found_across_faces_of_skewed_cells(tmp_path, seed, apart):
    rng = np.random.default_rng(seed)
    cell = np.array([[5.0, 0.0, 0.0], [rng.uniform(-9, 9), 4.0, 0.0], [*rng.uniform(-9, 9, 2), 3.0]])
    cell = cell[rng.permutation(3)] @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    normals = np.linalg.inv(cell).T  # along the thinnest direction a pair is furthest apart in fractional coordinates
    direction = max(normals, key=np.linalg.norm) if seed % 2 else rng.normal(size=3)
    near_a_face = rng.uniform(-0.02, 0.02, 3)
    second = near_a_face @ cell + apart * direction / np.linalg.norm(direction) + rng.integers(-2, 3, 3) @ cell
    atoms = ase.Atoms("LiO", positions=[near_a_face @ cell, second], cell=cell, pbc=True)
    assert atoms.get_distance(0, 1, mic=True) == pytest.approx(apart)
    ase.io.write(tmp_path / "pair.extxyz", atoms)
    if apart < 0.1:
        assert f"frame 1: atoms 1 and 2 are {apart:.3f} Angstrom" in refusal(tmp_path / "pair.extxyz")
    else:
        assert len(read_structures(tmp_path / "pair.extxyz")) == 1


@pytest.mark.parametrize("line", ["O 2.0 nan 0.4", "O inf 0.1 0.4", "O 1e30 0.1 0.4"])
def test_frames_that_are_not_finite_are_kept_when_asked(line, tmp_path):
    path = tmp_path / "set.extxyz"
    path.write_text(text(FRAME, changed(MOVED, 4, line), MOVED))
    assert "frame 2, atom 2" in refusal(path)
    crystals = read_structures(path, not_finite=True)
    assert len(crystals) == 3
    assert np.isnan(crystals.fractional).all(axis=2).tolist() == [[False] * 4, [False, True, False, False], [False] * 4]
    write_structures(crystals, tmp_path / "again.extxyz")
    again = read_structures(tmp_path / "again.extxyz", not_finite=True)
    np.testing.assert_allclose(again.fractional, crystals.fractional, atol=1e-6)
    path.write_text(text(changed(FRAME, 3, f"Li{line[1:]}"), MOVED))
    assert np.isfinite(read_structures(path, not_finite=True).fractional[1]).all(), "the first frame may be such a one"


def test_what_else_is_wrong_with_such_frames_is_refused(tmp_path):
    path = tmp_path / "set.extxyz"
    broken = changed(MOVED, 4, "O 2.0 nan 0.4")
    path.write_text(text(FRAME, [broken[0], broken[1].replace("6.0", "6.5"), *broken[2:]]))
    with pytest.raises(CryinGANError, match="cell differs"):
        read_structures(path, not_finite=True)
    close = changed(FRAME, 4, "O 0.1 0.2 0.31")
    path.write_text(text(close))
    with pytest.raises(CryinGANError, match="apart"):
        read_structures(path, not_finite=True)
