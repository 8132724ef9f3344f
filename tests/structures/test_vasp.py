"""POSCAR and XDATCAR files as VASP, older VASP and killed jobs leave them: whole frames are read, others are named."""

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures
from cryingan.structures.lenient import read_candidates, salvage_structures
from tests.support.structure_files import TRICLINIC, refusal, scattered_crystals

CRYSTALS = scattered_crystals(TRICLINIC, ("Li", "Li", "Cl"), structures=4)
HEADER = ["Li2 Cl1", " 1.0", *[" ".join(f"{value:.6f}" for value in row) for row in TRICLINIC], " Li Cl", " 2 1"]
ROWS = [["".join(f"  {value:.8f}" for value in atom) for atom in frame] for frame in CRYSTALS.fractional]


def config(number, rows=None):
    return [f"Direct configuration= {number:5d}", *(ROWS[number - 1] if rows is None else rows)]


WHOLE = [*HEADER, *(line for number in (1, 2, 3, 4) for line in config(number))]
OLD = [*HEADER, *(line for rows in ROWS for line in ("", *rows))]
POSCARS = [[*HEADER, "Direct", *rows] for rows in ROWS]
VELOCITIES = ["", *["  0.10000000E-02  0.20000000E+00 -0.3E-02"] * 3]
PREDICTOR = ["", " 1", " 0.5E+00", " 0.1 0.2 0.3 0.4", *["  0.1 0.2 0.3"] * 9]


def joined(*parts):
    return "".join(line + "\n" for part in parts for line in part)


def check_frames(path, expected):
    np.testing.assert_allclose(read_structures(path).fractional, CRYSTALS.fractional[expected], atol=1e-7)
    assert read_structures(path).species == CRYSTALS.species


GOOD = {
    "XDATCAR": (joined(WHOLE), [0, 1, 2, 3]),
    "XDATCAR of older VASP": (joined(OLD), [0, 1, 2, 3]),
    "XDATCAR of two runs": (joined(WHOLE, WHOLE), [0, 1, 2, 3] * 2),
    "XDATCAR of two runs with blank lines": (joined(WHOLE, ["", ""], OLD), [0, 1, 2, 3] * 2),
    "XDATCAR with a blank title": (joined(["", *WHOLE[1:]], [""], ["", *WHOLE[1:]]), [0, 1, 2, 3] * 2),
    "XDATCAR with a header for every frame": (joined(*[HEADER + config(i) for i in (1, 2, 3, 4)]), [0, 1, 2, 3]),
    "XDATCAR of Windows": (joined(WHOLE).replace("\n", "\r\n"), [0, 1, 2, 3]),
    "XDATCAR with tabs": (joined(WHOLE).replace("  ", "\t"), [0, 1, 2, 3]),
    "XDATCAR with blanks behind": (joined(WHOLE).replace("\n", "  \n") + "\n \n", [0, 1, 2, 3]),
    "XDATCAR of potentials": (joined(WHOLE).replace(" Li Cl\n", " Li_sv Cl/0a1b2c\n"), [0, 1, 2, 3]),
    "XDATCAR without elements": (joined(WHOLE).replace(" Li Cl\n", ""), [0, 1, 2, 3]),
    "XDATCAR without an end of line": (joined(WHOLE)[:-1], [0, 1, 2, 3]),
    "POSCAR": (joined(POSCARS[1]), [1]),
    "POSCAR of four": (joined(*POSCARS), [0, 1, 2, 3]),
    "POSCAR of two with a blank line": (joined(POSCARS[0], [""], POSCARS[2]), [0, 2]),
    "CONTCAR of two with velocities": (joined(POSCARS[0], VELOCITIES, POSCARS[1], VELOCITIES), [0, 1]),
    "CONTCAR of two molecular dynamics": (
        joined(POSCARS[0], VELOCITIES, PREDICTOR, POSCARS[1], VELOCITIES, PREDICTOR),
        [0, 1],
    ),
    "POSCAR with symbols behind": (joined(HEADER, ["direct"], [row + " Li" for row in ROWS[0]]), [0]),
    "POSCAR without elements": (joined(POSCARS[0]).replace(" Li Cl\n", ""), [0]),
    "POSCAR with its volume": (joined(POSCARS[0]).replace(" 1.0\n", " -210.0\n"), [0]),
    "poscar.small": (joined(POSCARS[0]), [0]),
    "small.VASP": (joined(POSCARS[0]), [0]),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_frame_of_a_whole_file_is_read(tmp_path, name):
    text, expected = GOOD[name]
    assert abs(np.linalg.det(TRICLINIC)) == pytest.approx(210.0)
    (tmp_path / name).write_bytes(text.encode())
    check_frames(tmp_path / name, expected)


def test_titles_may_have_a_byte_order_mark_or_another_encoding(tmp_path):
    (tmp_path / "XDATCAR_mark").write_bytes(joined(WHOLE).encode("utf-8-sig"))
    (tmp_path / "XDATCAR_latin").write_bytes(joined(["Gitter \xe4\xb2", *WHOLE[1:]]).encode("latin-1"))
    for name in ("XDATCAR_mark", "XDATCAR_latin"):
        check_frames(tmp_path / name, [0, 1, 2, 3])


def killed(number, atoms, rest=()):
    """An XDATCAR whose frame `number` ends after some atoms, and what a restarted job appended."""
    whole = [line for one in range(1, number) for line in config(one)]
    return joined(HEADER, whole, config(number, ROWS[number - 1][:atoms]), rest)


BAD = {
    "first cut": (killed(1, 2), "frame 1 ends early: 3 atoms promised, 2 found", 0),
    "middle cut, restarted": (killed(2, 1, WHOLE), "frame 2 ends early: 3 atoms promised, 1 found", 5),
    "middle cut, then continued": (killed(2, 1, config(3)), "frame 2 ends early: 3 atoms promised, 1 found", 2),
    "last without atoms": (killed(4, 0), "frame 4 ends early: 3 atoms promised, 0 found", 3),
    "last cut in a number": (killed(4, 3)[:-4], "frame 4 ends early: within the last number", 3),
    "last cut in a row": (killed(4, 3)[:-16], "frame 4, atom 3 (line 23): three numbers", 3),
    "last cut in the header": (joined(WHOLE, HEADER[:4]), "frame 5 ends early, in its header (line 27)", 4),
    "stars": (joined(WHOLE).replace(ROWS[2][1], " ******** ******** ********"), "frame 3, atom 2 (line 18): three", 3),
    "grown together": (joined(WHOLE).replace(ROWS[1][0], " 0.1-10.2 0.3"), "frame 2, atom 1 (line 13): three", 3),
    "atoms that are nowhere": (joined(WHOLE).replace(ROWS[0][0], " nan nan nan"), "frame 1, atom 1: position (nan", 3),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_frame_is_named_and_evaluation_keeps_the_whole_ones(tmp_path, name):
    text, message, whole = BAD[name]
    path = tmp_path / "XDATCAR"
    path.write_text(text)
    assert f"XDATCAR, {message}" in refusal(path)
    frames = list(read_candidates(path))
    assert sum(frame.atoms is not None for frame in frames) == whole
    assert len(frames) == whole + 1
    if whole:
        assert np.isfinite(salvage_structures(path).fractional).all(axis=(1, 2)).sum() == whole


def test_every_place_where_a_file_can_be_cut_loses_nothing_in_silence(tmp_path):
    """Cut after any character, the frames that are read are those of the whole file."""
    for name, text in (("XDATCAR", joined(WHOLE[:11], config(2))), ("POSCAR", joined(*POSCARS[:2]))):
        path = tmp_path / name
        for length in range(len(joined(HEADER)), len(text), 7):
            path.write_text(text[:length])
            frames = [frame.atoms for frame in read_candidates(path)]
            for frame, fractional in zip(frames, CRYSTALS.fractional, strict=False):
                if frame is not None:
                    np.testing.assert_allclose(frame.get_scaled_positions(), fractional, atol=1e-7)
            assert len(frames) >= 1


@pytest.mark.parametrize(
    ("line", "new", "message"),
    [
        (2, " one", "line 2: the scale of the cell should stand here, not 'one'"),
        (4, " 1.0 5.0", "line 4: a lattice vector should stand here, not '1.0 5.0'"),
        (6, " Li X", "line 6: unknown element 'X'"),
        (6, " Li Qq_pv", "line 6: unknown element 'Qq'"),
        (6, " Li", "line 6: 1 elements (Li) for 2 numbers of atoms"),
        (7, " 2 some", "line 7: the numbers of atoms should stand here, not '2 some'"),
    ],
)
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR"])
def test_a_broken_header_is_refused_by_its_line(tmp_path, name, line, new, message):
    lines = list(POSCARS[0] if name == "POSCAR" else WHOLE)
    lines[line - 1] = new
    (tmp_path / name).write_text(joined(lines))
    assert message in refusal(tmp_path / name)


def test_a_broken_header_before_other_frames_is_no_frame_that_counts_as_failed(tmp_path):
    """The frames behind it have a cell that nobody knows."""
    path = tmp_path / "XDATCAR"
    path.write_text(joined(WHOLE, [*HEADER[:3], "cut", *HEADER[4:]], config(1)))
    with pytest.raises(CryinGANError, match="frame 5, line 27: a lattice vector should stand here"):
        list(read_candidates(path))


def test_elements_that_the_file_does_not_name_are_given_or_refused(tmp_path, caplog):
    path = tmp_path / "POSCAR"
    for title in ("a slab", "sulfides at 300 K", "Li Cl O"):
        path.write_text(joined([title, *HEADER[1:5], *HEADER[6:], "Direct", *ROWS[0]]))
        assert "line 6: " in refusal(path)
        assert "types=[Li,Cl] names them" in refusal(path)
        assert read_structures(path, types=["Na", "F"]).species == ("Na", "Na", "F")
        with pytest.raises(CryinGANError, match="type 2: unknown element 'Xx'"):
            read_structures(path, types=["Na", "Xx"])
    caplog.set_level("INFO")
    path.write_text(joined(["Li2Cl", *HEADER[1:5], *HEADER[6:], "Direct", *ROWS[0]]))
    assert read_structures(path).species == CRYSTALS.species
    assert "names no elements: taken from its title, POTCAR or OUTCAR are Li Cl" in caplog.text


def test_cells_of_a_run_at_constant_pressure_are_refused_and_rounded_ones_are_one(tmp_path):
    path = tmp_path / "XDATCAR"
    for growth, refused in ((0.0004, False), (0.03, True)):
        headers = [[*HEADER[:4], f"0.5 -1.0 {7 + growth * number:.4f}", *HEADER[5:]] for number in (0, 0, 1, 2)]
        path.write_text(joined(*[header + config(i) for i, header in enumerate(headers, start=1)]))
        if refused:
            assert "frame 3: the cell differs from frame 1's by 0.03 Angstrom" in refusal(path)
        else:
            check_frames(path, [0, 1, 2, 3])


@pytest.mark.parametrize("flags", ["T F T", "t .false. .TRUE."])
def test_cartesian_positions_and_fixed_atoms_are_those_of_ase(tmp_path, flags):
    lines = [*HEADER[:1], " 2.0", *HEADER[2:], "Selective dynamics", "Cartesian"]
    atoms = CRYSTALS[0].to_ase()[0]
    rows = [" ".join(f"{value / 2:.10f}" for value in position) + " F F F" for position in atoms.positions]
    rows[1] = rows[1].replace("F F F", flags)
    path = tmp_path / "POSCAR"
    path.write_text(joined(lines, rows))
    [frame] = read_candidates(path)
    path.write_text(joined(lines, [row.replace(flags, "T F T") for row in rows]))
    expected = ase.io.read(path)
    np.testing.assert_allclose(frame.atoms.cell, 2 * TRICLINIC, atol=1e-6)
    np.testing.assert_allclose(
        (frame.atoms.positions - expected.positions) @ np.linalg.inv(expected.cell) % 1 % 1, 0, atol=1e-6
    )
