"""CIF files as databases and programs write them, with much that says nothing of the crystal."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Lattice, Structure

from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.lenient import read_candidates
from tests.support.structure_files import check_refusal, refusal, scattered_crystals

CELL = """data_LiCl
_cell_length_a 5.14(2)
_cell_length_b 5.140
_cell_length_c 5.140(11)
_cell_angle_alpha 90
_cell_angle_beta 90.0
_cell_angle_gamma 90.
"""
P1 = "loop_\n_symmetry_equiv_pos_as_xyz\n'x, y, z'\n"
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li1+ 0.1(1) 0.2 0.3 1
Cl1 Cl1- 0.5 0.5005(2) 0.5 1.0
Li2 Li1+ -0.2 0.9 0.7 1
"""
POSITIONS = [[0.1, 0.2, 0.3], [0.5, 0.5005, 0.5], [0.8, 0.9, 0.7]]
AUTHOR = "loop_\n_publ_author_name\n_publ_author_address\n;\nSome University\nSome Town\n;\n"
GOOD = {
    "no symmetry": CELL + SITES,
    "space group P1 by name": CELL + "_symmetry_space_group_name_H-M 'P 1'\n" + SITES,
    "space group P1 by number": CELL + "_space_group_IT_number 1\n" + SITES,
    "symmetry loop": CELL + P1 + SITES,
    "address in an author's loop": CELL.replace("\n", "\n" + AUTHOR, 1) + P1 + SITES,
    "author's loop at the end": CELL + P1 + SITES + AUTHOR,
    "loop with a quotation mark": CELL + P1 + "loop_\n_citation_id\n_citation_title\n1 'O'Brien's crystal\n" + SITES,
    "loop without values": CELL + P1 + "loop_\n_journal_name\n_journal_year\n" + SITES,
    "reflections that are cut": CELL + P1 + SITES + "loop_\n_refln_index_h\n_refln_index_k\n1 2\n3\n",
    "displacements that are cut": CELL + P1 + SITES + "loop_\n_atom_site_aniso_label\n_atom_site_aniso_U_11\nLi1\n",
    "text field like a block": CELL + "_publ_section_title\n;\ndata_none\nloop_\n;\n" + P1 + SITES,
    "block of a publication": "data_global\n_publ_section_title 'Salt'\n" + CELL + P1 + SITES,
    "comment before": "# COD \xe9\n#----\n\n" + CELL + P1 + SITES,
    "Windows": (CELL + P1 + SITES).replace("\n", "\r\n"),
    "tabs and blanks": (CELL + P1 + SITES).replace(" ", "\t ").replace("\n", "  \n"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_crystals_are_read_whatever_else_the_file_holds(tmp_path, name, encoding):
    path = tmp_path / "some.cif"
    path.write_bytes(GOOD[name].encode(encoding))
    read = read_structures(path)
    assert read.species == ("Li", "Cl", "Li")
    np.testing.assert_allclose(read.cell, 5.14 * np.eye(3), atol=1e-9)
    np.testing.assert_allclose(read.fractional[0], POSITIONS, atol=1e-9)


def test_symmetric_cells_are_those_of_ase_with_a_loop_of_authors_too(tmp_path):
    text = """data_MgO
_space_group_name_H-M_alt 'F m -3 m'
_space_group_IT_number 225
_cell_length_a 4.212
_cell_length_b 4.212
_cell_length_c 4.212
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mg1 0 0 0
O1 0.5 0.5 0.5
"""
    expected = bulk("MgO", "rocksalt", 4.212, cubic=True)
    for number, content in enumerate((text, text.replace("\n", "\n" + AUTHOR, 1))):
        (tmp_path / f"{number}.cif").write_text(content)
        read = read_structures(tmp_path / f"{number}.cif")
        assert read.counts == {"Mg": 4, "O": 4}
        atoms = read.to_ase()[0]
        assert sorted(map(tuple, np.round(atoms[atoms.numbers == 12].positions, 6))) == sorted(
            map(tuple, np.round(expected[expected.numbers == 12].positions, 6))
        )


def test_every_block_is_a_structure_and_a_broken_one_is_named(tmp_path):
    path = tmp_path / "some.cif"
    path.write_text(CELL + P1 + SITES + CELL.replace("LiCl", "two") + P1 + SITES)
    assert len(read_structures(path)) == 2
    path.write_text(CELL + P1 + SITES + CELL + SITES.replace("0.5005(2)", "?") + CELL + SITES)
    assert "some.cif, frame 2" in refusal(path)
    assert [frame.atoms is None for frame in read_candidates(path)] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CELL + P1 + SITES.replace("0.5 1.0", "0.5 0.7"), "frame 1, site 2: partly occupied by Cl"),
        (CELL + AUTHOR + P1 + SITES.replace("0.5 1.0", "0.5 0.7"), "frame 1, site 2: partly occupied by Cl"),
        (CELL + P1, "frame 1: it needs a cell and the positions of its atoms"),
        (CELL.replace("_cell_length_b 5.140\n", "") + P1 + SITES, "frame 1"),
        ("data_global\n_publ_section_title 'Salt'\n", "no block of data holds a crystal"),
        (CELL + P1 + SITES.replace("Cl1-", "Xx"), "frame 1"),
        (CELL + P1 + SITES.replace("Cl1 Cl1-", "X1 X"), "frame 1, atom 2: unknown element"),
        ((CELL + P1 + SITES)[:-9], "frame 1"),
    ],
)
def test_what_is_no_whole_crystal_is_refused(tmp_path, text, message):
    path = tmp_path / "some.cif"
    if message.startswith("no "):
        path.write_text(text)
        assert message in refusal(path)
    else:
        check_refusal(path, text, message)


def test_atoms_that_nearly_coincide_are_two_atoms(tmp_path):
    """ASE makes one atom of two that are closer than a thousandth of the cell."""
    crystals = scattered_crystals(20 * np.eye(3), ("Li", "Li", "Cl"), structures=2)
    crystals.fractional[0, 1] = crystals.fractional[0, 0] + [0.0008, 0, 0]
    write_structures(crystals, tmp_path / "set", "cif")
    assert len(ase.io.read(tmp_path / "set" / "0001.cif")) == 2
    [first, _] = read_candidates(tmp_path / "set")
    assert first.composition == {"Cl": 1, "Li": 2}
    assert "set/0001.cif, frame 1: atoms 1 and 2 are 0.016 Angstrom apart" in refusal(tmp_path / "set")


@pytest.mark.parametrize("write", ["ase", "pymatgen"])
def test_a_file_that_was_cut_between_two_atoms_is_refused(tmp_path, write):
    path, structure = tmp_path / "cut.cif", Structure(Lattice.cubic(4), ["Li", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    structure.to_ase_atoms().write(path) if write == "ase" else structure.to(str(path))
    assert read_structures(path).counts == {"Li": 1, "Cl": 1}
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert "frame 1: Li found, but _chemical_formula_sum is Li1 Cl1: is the file cut off?" in refusal(path)
    path.write_text(whole.replace("Li1 Cl1", "Li1 D1 Cl1"))
    assert "ClLi found, but _chemical_formula_sum is Li1 D1 Cl1" in refusal(path)
    path.write_text(whole.replace("Li1 Cl1", "D1 Cl1").replace("Li  Li1", "D  D1").replace("Li  Li0", "D  D0"))
    assert read_structures(path).counts == {"H": 1, "Cl": 1}
    path.write_text(whole.replace("Li1 Cl1", "Li1 Cl2") + "loop_\n_refln_index_h\n1\n")  # not cut: other reasons
    assert read_structures(path).counts == {"Li": 1, "Cl": 1}
