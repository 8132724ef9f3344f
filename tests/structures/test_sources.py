"""Folders and patterns of structure files, and JSON of pymatgen."""

import gzip
import json

import ase.io
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures, write_structures
from cryingan.structures.lenient import read_candidates, salvage_structures
from cryingan.structures.sources import source_hash, structure_files
from tests.support.structure_files import TRICLINIC, refusal, scattered_crystals

CRYSTALS = scattered_crystals(TRICLINIC, ("Li", "O", "Li", "Cl"), structures=12)
STRUCTURES = [Structure(CRYSTALS.cell, CRYSTALS.species, fractional) for fractional in CRYSTALS.fractional]


def check(path, crystals=CRYSTALS):
    """Read strictly, leniently and for relaxation, the structures are these, in this order."""
    for read in (read_structures(path), salvage_structures(path), salvage_structures(str(path))):
        assert read.species == crystals.species
        np.testing.assert_allclose(read.fractional, crystals.fractional, atol=1e-6)
        np.testing.assert_allclose(read.cell, crystals.cell, atol=1e-6)
    frames = [frame.atoms for frame in read_candidates(path)]
    np.testing.assert_allclose([one.get_scaled_positions() for one in frames], crystals.fractional, atol=1e-6)


@pytest.mark.parametrize("form", ["extxyz", "cif", "poscar"])
def test_what_is_written_reads_back_in_its_order(tmp_path, form):
    write_structures(CRYSTALS, tmp_path / "set", form)
    if form == "extxyz":
        (tmp_path / "set").rename(tmp_path / "set.extxyz")
        check(tmp_path / "set.extxyz")
    else:
        check(tmp_path / "set")
        check(tmp_path / "set" / ("*.cif" if form == "cif" else "*.vasp"))


def test_a_folder_may_hold_one_file(tmp_path):
    write_structures(CRYSTALS[:1], tmp_path / "set", "poscar")
    check(tmp_path / "set", CRYSTALS[:1])


def test_names_are_sorted_by_their_numbers(tmp_path):
    for number, atoms in enumerate(CRYSTALS.to_ase(), start=1):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        ase.io.write(folder / "POSCAR", atoms)
        ase.io.write(tmp_path / f"step_{number}.vasp", atoms, format="vasp")
    check(tmp_path / "step_*.vasp")
    check(tmp_path / "run*" / "POSCAR")
    check(tmp_path / "**" / "POSCAR")
    check(tmp_path / "run1?" / "POSCAR", CRYSTALS[9:])
    check(tmp_path / "step_[34].vasp", CRYSTALS[2:4])
    assert [file.parent.name for file in structure_files(tmp_path / "run*" / "POSCAR")][-2:] == ["run11", "run12"]


def test_files_of_several_formats_and_several_frames_are_one_set(tmp_path):
    atoms = CRYSTALS.to_ase()
    ase.io.write(tmp_path / "1.traj", atoms[:2])
    ase.io.write(tmp_path / "2.extxyz", atoms[2:5])
    ase.io.write(tmp_path / "3_XDATCAR", atoms[5:7], format="vasp-xdatcar")
    ase.io.write(tmp_path / "4.json", atoms[7:9])
    ase.io.write(tmp_path / "5.cif.gz", atoms[9])
    (tmp_path / "6.json").write_text(json.dumps([one.as_dict() for one in STRUCTURES[10:]], default=float))
    check(tmp_path)


def test_what_is_no_structure_in_a_folder_is_named(tmp_path, caplog):
    write_structures(CRYSTALS, tmp_path / "set", "poscar")
    for name in (".hidden.cif", "notes.md", "run.log", "energies.csv", "plot.png", "settings.json", "relax.py"):
        (tmp_path / "set" / name).write_text('{"a": 1}')
    (tmp_path / "set" / "older").mkdir()
    (tmp_path / "set" / ".cryingan").mkdir()
    before = source_hash(tmp_path / "set")
    read_structures(tmp_path / "set")
    assert len(caplog.records) == 1
    check(tmp_path / "set")
    assert (
        "8 of 21 entries are no structures and left out: .hidden.cif, energies.csv, notes.md, older, plot.png, ..."
        in (caplog.text)
    )
    (tmp_path / "set" / "more.txt").write_text("")
    assert source_hash(tmp_path / "set") == before
    (tmp_path / "set" / "0001.vasp").rename(tmp_path / "set" / "0000.vasp")
    assert source_hash(tmp_path / "set") != before


def test_a_broken_file_of_many_is_refused_or_counted(tmp_path):
    write_structures(CRYSTALS[:3], tmp_path / "set", "poscar")
    (tmp_path / "set" / "0002.vasp").write_text("cut\n1.0\n")
    assert "0002.vasp, frame 1 ends early, in its header" in refusal(tmp_path / "set")
    frames = list(read_candidates(tmp_path / "set"))
    assert [frame.name for frame in frames if frame.atoms is None] == ["0002.vasp"]
    assert np.isfinite(salvage_structures(tmp_path / "set").fractional).all(axis=(1, 2)).tolist() == [True, False, True]
    (tmp_path / "set" / "0002.vasp").write_text("")
    refusal(tmp_path / "set")
    assert len(list(read_candidates(tmp_path / "set"))) == 3


def test_frames_are_compared_across_files(tmp_path):
    for number, edge in enumerate((5.0, 5.0, 5.1), start=1):
        structure = Structure(Lattice.cubic(edge), ["Li", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
        structure.to(str(tmp_path / f"{number}.cif"))
    assert f"3.cif, frame 1: the cell differs from {tmp_path / '1.cif'}, frame 1's by 0.1" in refusal(tmp_path)


def test_the_frame_that_others_are_compared_with_is_the_first_sound_one(tmp_path):
    write_structures(CRYSTALS[:2], path := tmp_path / "set.extxyz")
    write_structures(CRYSTALS[2:].reordered(np.array([1, 0, 2, 3])), tmp_path / "other.extxyz")
    path.write_text(path.read_text().replace("Li", "Li x", 1) + (tmp_path / "other.extxyz").read_text())
    with pytest.raises(CryinGANError, match=r"frame 3, atom 1 is O, but Li in frame 2; "):
        salvage_structures(path)


def test_a_folder_in_which_one_run_wrote_its_structures_twice_is_refused(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in ("relaxed.extxyz", "samples.extxyz"):
        write_structures(CRYSTALS, tmp_path / "samples" / name)
    write_structures(CRYSTALS[:1], tmp_path / "vasp", "poscar")
    (tmp_path / "vasp" / "0001.vasp").rename(tmp_path / "vasp" / "CONTCAR")
    (tmp_path / "vasp" / "POSCAR").write_text((tmp_path / "vasp" / "CONTCAR").read_text())
    for folder, one in (("samples", "relaxed.extxyz"), ("vasp", "CONTCAR")):
        assert f"repeat structures; give one, such as {tmp_path / folder / one}" in refusal(tmp_path / folder)
        assert len(read_structures(tmp_path / folder / one)) == (12 if folder == "samples" else 1)


def test_a_folder_above_structures_names_theirs(tmp_path):
    write_structures(CRYSTALS, tmp_path / "poscar", "poscar")
    assert f"give '{tmp_path}/*/*.vasp', for those of one '{tmp_path / 'poscar'}'" in refusal(tmp_path)


@pytest.mark.parametrize("place", ["run_{}", "set_{}/relax"])
@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (("POSCAR", "CONTCAR"), "CONTCAR"),
        (("POSCAR",), "POSCAR"),
        (("a.cif",), "a.cif"),
        (("{}.cif",), "*.cif"),
    ],
)
def test_a_folder_of_runs_is_answered_by_the_pattern_that_works(tmp_path, caplog, place, names, offered):
    folder = tmp_path / "vasp runs [2]"
    for number, atoms in enumerate(CRYSTALS.to_ase()):
        inner = folder / place.format(number)
        inner.mkdir(parents=True)
        (inner / "INCAR").write_text("IBRION = 2")
        for name in names:
            ase.io.write(inner / name.format(number), atoms, format="cif" if "cif" in name else "vasp")
    said = refusal(folder)
    assert not caplog.messages
    pattern = said.partition("folders give '")[2].partition("'")[0]
    assert pattern.endswith(f"/{offered}")
    assert len(read_structures(pattern)) == len(CRYSTALS)


def test_isolated_atoms_are_left_out_and_counted(tmp_path, caplog):
    write_structures(CRYSTALS, path := tmp_path / "set.xyz")
    crystals = path.read_text()
    frames = crystals.splitlines(keepends=True)
    one, other = "1\nconfig_type=IsolatedAtom\nLi 0 0 0\n", '1\nProperties=species:S:1:pos:R:3 pbc="F F F"\nO 0 0 0\n'
    for content in (one + other + crystals, "".join([*frames[:12], one, *frames[12:], other]), crystals + one + other):
        caplog.clear()
        path.write_text(content)
        np.testing.assert_allclose(read_structures(path).fractional, CRYSTALS.fractional, atol=1e-6)
        assert caplog.messages == [f"{path}: 2 isolated atoms are no structures and left out"]
    path.write_text(one + other)
    assert refusal(path) == f"{path} holds no structures, only 2 isolated atoms"
    path.write_text(crystals + one + "2\n\nLi 0 0 0\nLi 2 0 0\n")
    assert "frame 14 has no cell" in refusal(path)


@pytest.mark.parametrize("name", ["set/*.cif", "none*/1.vasp", "none/1.vasp", "fol*"])
def test_a_source_that_gives_nothing_is_refused(tmp_path, name):
    (tmp_path / "set").mkdir()
    (tmp_path / "folder").mkdir()
    for read in (read_structures, salvage_structures, lambda path: list(read_candidates(path)), source_hash):
        with pytest.raises(CryinGANError, match=r"give a file, a folder or a pattern of structures"):
            read(tmp_path / name)


def test_paths_with_the_signs_of_patterns_are_files_first(tmp_path):
    folder = tmp_path / "set [1]*"
    folder.mkdir()
    write_structures(CRYSTALS[:3], folder / "some [2]?.extxyz")
    write_structures(CRYSTALS, folder / "all", "poscar")
    check(folder / "some [2]?.extxyz", CRYSTALS[:3])
    check(folder / "all" / "*.vasp")


def test_structures_of_pymatgen_are_read_however_they_are_kept(tmp_path):
    plain = [structure.as_dict() for structure in STRUCTURES]
    decorated = [
        structure.copy().add_oxidation_state_by_element({"Li": 1, "O": -2, "Cl": -1}) for structure in STRUCTURES
    ]
    contents = {
        "list": plain,
        "by_name": {f"mp-{number}": one for number, one in enumerate(plain)},
        "entries": [{"@class": "ComputedStructureEntry", "energy": -1.0, "structure": one} for one in plain],
        "texts": [json.dumps(one, default=float) for one in plain],
        "charged": [structure.as_dict() for structure in decorated],
    }
    for name, content in contents.items():
        text = json.dumps(content, default=float)
        (tmp_path / f"{name}.json").write_text(text)
        (tmp_path / f"{name}.json.gz").write_bytes(gzip.compress(text.encode()))
        check(tmp_path / f"{name}.json")
        check(tmp_path / f"{name}.json.gz")
    STRUCTURES[0].to(str(tmp_path / "one.json"))
    check(tmp_path / "one.json", CRYSTALS[:1])


def test_json_that_holds_something_else_is_refused_by_its_place(tmp_path):
    path = tmp_path / "some.json"
    mixed = Structure(Lattice.cubic(4), [{"Li": 0.5, "Na": 0.5}], [[0, 0, 0]])
    for content, message in (
        ([STRUCTURES[0].as_dict(), 3], "entry 2: 3 is no Structure of pymatgen"),
        ({"@class": "BandStructure"}, "the top: BandStructure is no Structure"),
        ([mixed.as_dict()], "frame 1: site 1: partly occupied"),
        ([], "holds no structures"),
    ):
        path.write_text(json.dumps(content, default=float))
        assert message in refusal(path)
    path.write_text("[1, ")
    assert "(read as JSON)" in refusal(path)


def test_a_database_of_ase_is_read_compressed_too(tmp_path):
    ase.io.write(tmp_path / "set.json", CRYSTALS.to_ase())
    check(tmp_path / "set.json")
    (tmp_path / "set.json.gz").write_bytes(gzip.compress((tmp_path / "set.json").read_bytes()))
    check(tmp_path / "set.json.gz")
