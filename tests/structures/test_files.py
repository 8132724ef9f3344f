"""Structure files: what is refused and how, what is accepted, round trips through ASE and pymatgen, the cache."""

import bz2
import errno
import gzip
import io
import logging
import lzma
import pickle
import resource
import warnings
import zipfile
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from cryingan.storage.hashes import file_hash
from cryingan.structures import files
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures

POSITIONS = 1e-7  # Angstrom, after extended XYZ with 8 decimals
KEYS = 'Lattice="6.0 0.0 0.0 1.0 5.0 0.0 0.5 -1.0 7.0" Properties=species:S:1:pos:R:3 pbc="T T T"'
ATOMS = ["Li 0.1 0.2 0.3", "O 2.0 0.1 0.4", "Li 3.0 2.0 1.0", "O 1.0 3.0 5.0"]
FRAME = ["4", KEYS, *ATOMS]
MOVED = ["4", KEYS, "Li 0.2 0.2 0.3", *ATOMS[1:]]
TRICLINIC = np.array([[6.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.5, -1.0, 7.0]])
LEFT_HANDED = TRICLINIC[[1, 0, 2]]


def text(*frames):
    return "".join(line + "\n" for frame in frames for line in frame)


def changed(frame, line, new):
    """A frame with one line (from 1) replaced, or removed for None."""
    return [*frame[: line - 1], *([] if new is None else [new]), *frame[line:]]


def keys(old, new):
    assert old in KEYS
    return changed(FRAME, 2, KEYS.replace(old, new))


def refusal(path, **options):
    """The message with which a file is refused: one line, naming the file."""
    with pytest.raises(CryinGANError) as caught:
        read_structures(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


LATTICE = "6.0 0.0 0.0 1.0 5.0 0.0 0.5 -1.0 7.0"
REFUSED = {
    "empty": ("", "no structures"),
    "blank": ("\n\n  \n", "no structures"),
    "only a count": ("4\n", "frame 1 ends early: 4 atoms promised, 0 found"),
    "truncated": (text(FRAME[:-1]), "frame 1 ends early: 4 atoms promised, 3 found"),
    "truncated number": (text(FRAME, MOVED)[:-7], "frame 2, atom 4 (line 12): too few columns in 'O 1.0 3'"),
    "truncated last frame": (text(FRAME, MOVED[:4]), "frame 2 ends early: 4 atoms promised, 2 found"),
    "count too large": (text(changed(FRAME, 1, "5"), MOVED), "frame 1, atom 5 (line 7)"),
    "count too small": (text(changed(FRAME, 1, "3"), MOVED), "frame 2, line 6: the number of atoms"),
    "count negative": (text(FRAME, changed(MOVED, 1, "-4")), "frame 2, line 7: a frame has 1 to"),
    "count zero": ("0\n" + KEYS + "\n", "frame 1, line 1: a frame has 1 to"),
    "count hostile": (text(changed(FRAME, 1, "1000000000000")), "frame 1, line 1: a frame has 1 to"),
    "count of many digits": ("9" * 5000, "frame 1, line 1: the number of atoms"),
    "binary": (np.random.default_rng(0).bytes(4096), "frame 1, line 1: the number of atoms"),
    "zeros": (bytes(4096), "frame 1, line 1: the number of atoms"),
    "text in a number": (
        text(FRAME, changed(MOVED, 5, "Li 3.0 x 1.0")),
        "frame 2, atom 3 (line 11): could not convert string to float: 'x'",
    ),
    "too few columns": (text(changed(FRAME, 3, "Li 0.1 0.2")), "frame 1, atom 1 (line 3): too few columns"),
    "after blank lines": ("\n \n" + text(changed(FRAME, 3, "Li 0.1")), "frame 1, atom 1 (line 5): too few columns"),
    "blank atom": (text(changed(FRAME, 6, "")), "frame 1, atom 4 (line 6): too few columns"),
    "unknown element": (text(FRAME, changed(MOVED, 4, "Zz 2 0 0")), "frame 2, atom 2 (line 10): unknown element 'Zz'"),
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
    "short lattice": (text(FRAME, keys(LATTICE, "4 0 0 0 4 0 0 4")), "frame 2, line 8: Got info item Lattice"),
    "pbc false": (text(keys("T T T", "F F F")), 'frame 1: pbc is "F F F"; crystals are periodic'),
    "pbc mixed": (text(FRAME, keys("T T T", "T T F")), 'frame 2: pbc is "T T F"'),
    "pbc of two": (text(keys("T T T", "T T")), "frame 1, line 2"),
    "no positions": (text(keys("pos:R:3", "velo:R:3")), "frame 1, line 2: Properties should hold"),
    "no species": (text(keys("species:S:1", "name:S:1")), "frame 1, line 2: Properties should hold"),
    "hostile columns": (text(keys("R:3", "R:3:f:R:999999999")), "frame 1, line 2: Properties has a number of columns"),
    "atom counts": (text(FRAME, ["3", KEYS, *ATOMS[:3]]), "frame 2 has 3 atoms, but frame 1 has 4"),
    "cells": (text(FRAME, MOVED, keys("7.0", "7.0002")), "frame 3: the cell differs from frame 1's by 0.0002"),
    "species order": (
        text(FRAME, ["4", KEYS, *ATOMS[:2], ATOMS[3], ATOMS[2]]),
        "frame 2, atom 3 is O, but Li in frame 1; (data.)sort_species=true",
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
    path = tmp_path / "set.extxyz"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f"{path}{' ' if message.startswith('no ') else ', '}" in refusal(path)
    assert message in refusal(path)


def test_folders_and_missing_files_and_unknown_formats_are_refused(tmp_path):
    assert "is a folder" in refusal(tmp_path)
    assert "is not there" in refusal(tmp_path / "none.extxyz")
    for name in ("notes.doc", "notes", "x@0.unknown"):
        (tmp_path / name).write_text("hello\n")
        refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.cif", b"data_x\n_cell_length_a 4\nloop_\n_atom_site_label\n"),
        ("POSCAR", b"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nSi\n2\nDirect\n0 0 0\n"),
        ("set.traj", b"- of Ulm" + bytes(100)),
        ("set.json", b"[1, 2"),
        ("set.extxyz.gz", b"no gzip"),
        ("set.extxyz.gz", gzip.compress(text(FRAME).encode())[:-20]),
        ("set.extxyz.bz2", bz2.compress(text(FRAME).encode())[:-20]),
        ("set.extxyz.xz", b"no xz"),
    ],
)
def test_broken_files_of_other_formats_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refusal(tmp_path / name)


@pytest.mark.parametrize("count", ["1000000000000", "300000000"])
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR", "hostile.vasp"])
def test_hostile_counts_in_vasp_files_are_refused_before_memory_is_reserved(tmp_path, name, count):
    (tmp_path / name).write_text(f"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nSi\n{count}\nDirect\n0 0 0\n")
    assert f"line 7: '{count}' atoms are more than 1,000,000" in refusal(tmp_path / name)


def test_a_partly_occupied_site_is_refused(tmp_path):
    files.write_structures(Crystals(np.full((1, 1, 3), 0.25), TRICLINIC, ("Li",)), tmp_path / "cifs", "cif")
    content = (tmp_path / "cifs" / "0001.cif").read_text()
    assert " 1.0000" in content
    (tmp_path / "half.cif").write_text(content.replace(" 1.0000", " 0.5000"))
    assert "partly occupied by Li" in refusal(tmp_path / "half.cif")


ACCEPTED = {
    "as it is": text(FRAME, MOVED),
    "CRLF": text(FRAME, MOVED).replace("\n", "\r\n"),
    "no last newline": text(FRAME, MOVED)[:-1],
    "blank lines around and between": "\n" + text(FRAME) + "\n \n" + text(MOVED) + "\n\n",
    "tabs and spaces": text(FRAME, MOVED).replace(" 0.2 0.3", "\t 0.2   0.3  "),
    "byte-order mark": "\ufeff" + text(FRAME, MOVED),
    "no pbc": text(FRAME, MOVED).replace(' pbc="T T T"', ""),
    "no Properties": text(FRAME, MOVED).replace(" Properties=species:S:1:pos:R:3", ""),
    "lower-case symbols": text(FRAME, MOVED).replace("Li ", "li "),
    "atomic numbers": text(FRAME, MOVED).replace("species:S", "Z:I").replace("Li ", "3 ").replace("O ", "8 "),
    "extra keys": text(FRAME, MOVED).replace(' pbc="T', ' energy=-1.5 note="a b" virial_ok pbc="T'),
    "extra columns": text(FRAME, MOVED)
    .replace(":R:3", ":R:3:forces:R:3")
    .replace(".3\n", ".3 0 0 0\n")
    .replace(".4\n", ".4 0 0 0\n")
    .replace("1.0\n", "1.0 0 0 0\n")
    .replace("5.0\n", "5.0 0 0 0\n"),
    "nearly equal cells": text(FRAME) + text(MOVED).replace("7.0", "7.00005"),
    "other images": text(FRAME, MOVED).replace("O 2.0 0.1 0.4", "O 9.0 5.1 0.4"),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_variants_of_a_valid_file_are_accepted(tmp_path, content):
    (tmp_path / "set.extxyz").write_bytes(content.encode())
    crystals = read_structures(tmp_path / "set.extxyz")
    assert crystals.species == ("Li", "O", "Li", "O")
    np.testing.assert_array_equal(crystals.cell, TRICLINIC)
    expected = np.array([[line.split()[1:] for line in frame[2:]] for frame in (FRAME, MOVED)], dtype=float)
    difference = crystals.fractional - expected @ np.linalg.inv(TRICLINIC)
    np.testing.assert_allclose((difference + 0.5) % 1.0, 0.5, atol=1e-4)  # 5e-5 Angstrom in one of the cells
    assert (crystals.fractional >= 0).all()
    assert (crystals.fractional < 1).all()


@pytest.mark.parametrize(("content", "notes"), [(ACCEPTED["no pbc"], 1), (ACCEPTED["as it is"], 0)])
def test_missing_boundary_conditions_are_noted_once(tmp_path, caplog, content, notes):
    (tmp_path / "set.extxyz").write_text(content)
    with caplog.at_level(logging.INFO):
        read_structures(tmp_path / "set.extxyz")
    assert sum("no pbc" in record.message for record in caplog.records) == notes


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files_are_read(tmp_path, suffix, compress):
    (tmp_path / f"set@1.extxyz.{suffix}").write_bytes(compress(text(FRAME, MOVED).encode()))
    assert len(read_structures(tmp_path / f"set@1.extxyz.{suffix}")) == 2


@pytest.mark.parametrize("name", ["set@0.traj", "set.json", "set.xsf", "XDATCAR"])
def test_other_formats_of_many_frames_are_read(tmp_path, name):
    crystals = random_crystals(TRICLINIC, ("Li", "Li", "O"))
    ase.io.write(tmp_path / name, crystals.to_ase(), format="vasp-xdatcar" if name == "XDATCAR" else None)
    read = read_structures(tmp_path / name)
    assert read.species == crystals.species
    np.testing.assert_allclose(read.fractional, crystals.fractional, atol=1e-7)


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


def load_or_refuse(path, content):
    path.write_bytes(content)
    message, crystals = "", None
    try:
        crystals = read_structures(path)
    except CryinGANError as error:
        message = str(error)
    assert "\n" not in message
    assert str(path) in message or len(crystals) > 0
    if crystals is not None:
        assert ((crystals.fractional >= 0) & (crystals.fractional < 1)).all()
        assert abs(np.linalg.det(crystals.cell)) > 0


VALID = text(FRAME, MOVED, FRAME).encode()
TOKENS = [
    b"nan",
    b"-inf",
    b"1e400",
    b"9" * 12,
    b"\n",
    b"\n\n",
    b"\x00",
    b"=",
    b'"',
    b"T",
    b":R:",
    b":999999:",
    b"_JSON [",
    b"Z",
]
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(VALID)), st.integers(0, 80), st.one_of(st.binary(max_size=6), st.sampled_from(TOKENS))
    ),
    min_size=1,
    max_size=4,
)


def mutate(edits):
    content = VALID
    for start, length, new in edits:
        content = content[:start] + new + content[start + length % 9 if length < 70 else start + length :]
    return content


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_mutated_files_load_or_are_refused(tmp_path, edits):
    load_or_refuse(tmp_path / "set.extxyz", mutate(edits))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_many_mutated_files_load_or_are_refused(tmp_path, edits):
    load_or_refuse(tmp_path / "set.extxyz", mutate(edits))


def random_crystals(cell, species, structures=3):
    """Structures whose atoms are far from each other: shifted, jittered sites of a grid."""
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = np.stack([rng.permutation(grid)[: len(species)] for _ in range(structures)])
    return Crystals(sites + rng.uniform(-0.05, 0.05, sites.shape), cell, species)


def read_by_ase(path):
    return [(np.array(a.cell), a.get_scaled_positions(), a.get_chemical_symbols()) for a in ase.io.read(path, ":")]


def read_by_pymatgen(path):
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.cif import CifParser

    if path.suffix == ".cif":  # by default the parser rounds coordinates to fractions such as 1/3
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structures = CifParser(path, frac_tolerance=0.0).parse_structures(primitive=False)
    elif path.suffix == ".vasp":
        structures = [Structure.from_file(path)]
    else:
        structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in ase.io.read(path, ":")]
    return [(s.lattice.matrix, s.frac_coords, [site.specie.symbol for site in s]) for s in structures]


@pytest.mark.parametrize("species", [("Li", "Li", "O", "O", "Zr"), ("O", "Li", "O", "Zr", "Li")], ids="".join)
@pytest.mark.parametrize("cell", [TRICLINIC, LEFT_HANDED], ids=["triclinic", "left-handed"])
@pytest.mark.parametrize("read", [read_by_ase, read_by_pymatgen])
@pytest.mark.parametrize("format", ["extxyz", "cif", "poscar"])
def test_what_is_written_reads_back_equal(tmp_path, format, read, cell, species):
    crystals = random_crystals(cell, species)
    target = tmp_path / "samples"
    write_structures(crystals, target.with_suffix(".extxyz") if format == "extxyz" else target, format)
    paths = sorted(target.iterdir()) if target.exists() else [target.with_suffix(".extxyz")]
    assert [path.stem for path in paths] == (["samples"] if format == "extxyz" else ["0001", "0002", "0003"])
    found = [structure for path in paths for structure in read(path)]
    assert len(found) == 3
    for (found_cell, fractional, symbols), expected in zip(found, crystals.fractional, strict=True):
        # pymatgen's CIF parser sorts by element, whatever the file's order is.
        sorts = format == "cif" and read is read_by_pymatgen
        order = sorted(range(5), key=lambda atom: symbols.index(species[atom])) if sorts else range(5)
        assert symbols == [species[atom] for atom in order]
        np.testing.assert_allclose(found_cell @ found_cell.T, cell @ cell.T, atol=1e-8)  # all lengths and angles
        if format != "cif":
            np.testing.assert_allclose(found_cell, cell, atol=1e-12)
        difference = (fractional - expected[order] + 0.5) % 1.0 - 0.5
        np.testing.assert_allclose(difference @ cell, 0, atol=POSITIONS)
    again = np.concatenate([read_structures(path).fractional for path in paths])
    np.testing.assert_allclose(again, crystals.fractional, atol=POSITIONS)


@pytest.mark.parametrize("format", ["extxyz", "cif", "poscar"])
def test_the_same_structures_give_the_same_bytes_and_replace_older_ones(tmp_path, format):
    crystals = random_crystals(TRICLINIC, ("Li", "O", "Li"))
    targets = [tmp_path / "first", tmp_path / "second"]
    write_structures(crystals[[0, 0, 0, 0]], targets[1], format)
    for target in targets:
        write_structures(crystals, target, format)
    assert contents(targets[0]) == contents(targets[1])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first", "second"]


def contents(path):
    """Everything below a path."""
    if path.is_dir():
        return {item.name: item.read_bytes() for item in path.iterdir()}
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def full_disk():
    """Files of more than 300 bytes cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("there", [True, False], ids=["replacing", "new"])
@pytest.mark.parametrize("format", ["extxyz", "cif", "poscar"])
def test_a_full_disk_leaves_the_target_as_it_was(tmp_path, request, format, there):
    crystals = random_crystals(TRICLINIC, ("Li", "O", "Li", "O"))
    target = tmp_path / "samples"
    if there:
        write_structures(crystals[:1], target, format)
    before = contents(target)
    request.getfixturevalue("full_disk")
    with pytest.raises(CryinGANError, match=f"^{target} cannot be written: File too large$"):
        write_structures(crystals, target, format)
    assert contents(target) == before
    assert list(tmp_path.iterdir()) == ([target] if there else [])


@pytest.mark.parametrize("format", ["extxyz", "cif", "poscar"])
def test_what_cannot_be_written_is_refused(tmp_path, format):
    crystals = random_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "none" / "samples", tmp_path / "file" / "samples"):
        with pytest.raises(CryinGANError, match=f"^{target} cannot be written: "):
            write_structures(crystals, target, format)
    with pytest.raises(CryinGANError, match="no structures to write"):
        write_structures(crystals[:0], tmp_path / "samples", format)


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    crystals = random_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CryinGANError, match="holds other files"):
        write_structures(crystals, tmp_path, "cif")
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}
    with pytest.raises(CryinGANError, match="format=pdb is not one of"):
        write_structures(crystals, tmp_path / "samples", "pdb")


def test_of_a_linked_folder_the_content_is_replaced(tmp_path):
    crystals = random_crystals(TRICLINIC, ("Li", "O"))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "samples").symlink_to(tmp_path / "scratch")
    write_structures(crystals, tmp_path / "samples", "cif")
    assert (tmp_path / "samples").is_symlink()
    assert len(contents(tmp_path / "scratch")) == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    crystals = random_crystals(TRICLINIC, ("Li", "O"))
    write_structures(crystals[:1], tmp_path / "samples", "cif")
    before, rename = contents(tmp_path / "samples"), Path.rename

    def refuse_new(path, target):
        if path.suffix == ".part":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(CryinGANError, match=r"samples cannot be written: Input/output error"):
        write_structures(crystals, tmp_path / "samples", "cif")
    assert contents(tmp_path / "samples") == before
    assert len(list(tmp_path.iterdir())) == 1


def test_replace_file_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "last.ckpt"
    with replace_file(path) as file:
        file.write(b"first")
        assert not path.exists()
    (tmp_path / "last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(CryinGANError, match="No space left on device"), replace_file(path) as file:
        file.write(b"second")
    with pytest.raises(ZeroDivisionError), replace_file(path) as file:
        file.write(b"third" * (1 // 0))
    assert contents(tmp_path) == {"last.ckpt": b"first"}
    assert file_hash(path) == "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
    with pytest.raises(CryinGANError, match=r"none\.ckpt cannot be read"):
        file_hash(tmp_path / "none.ckpt")


@pytest.fixture
def slow_file(tmp_path, monkeypatch):
    """A file that counts as slow to read, and the path of its cache."""
    monkeypatch.setattr(files, "SLOW_SECONDS", -1.0)
    path = tmp_path / "set.extxyz"
    path.write_text(text(FRAME, MOVED))
    return path, tmp_path / ".cryingan" / "set.extxyz.structures.npz"


def parses(monkeypatch):
    """Counts how often files are parsed."""
    calls, parse = [], files.parse
    monkeypatch.setattr(files, "parse", lambda *arguments: calls.append(arguments) or parse(*arguments))
    return calls


def assert_equal(one, other):
    np.testing.assert_array_equal(one.fractional, other.fractional)
    np.testing.assert_array_equal(one.cell, other.cell)
    assert one.species == other.species


def test_the_cache_is_used_until_the_file_or_the_question_changes(slow_file, monkeypatch):
    path, cache = slow_file
    calls = parses(monkeypatch)
    first = read_structures(path)
    assert cache.exists()
    assert_equal(read_structures(path), first)
    assert len(calls) == 1
    read_structures(path, sort_species=True)
    assert len(calls) == 2
    path.write_text(text(MOVED, FRAME))
    edited = read_structures(path)
    assert len(calls) == 3
    np.testing.assert_array_equal(edited.fractional, first.fractional[::-1])
    assert_equal(read_structures(path), edited)
    assert len(calls) == 3


def test_a_file_that_changes_while_it_is_read_leaves_no_cache(slow_file, monkeypatch):
    path, cache = slow_file
    parse = files.parse

    def parse_and_change(*arguments):
        crystals = parse(*arguments)
        path.write_text(text(MOVED))
        return crystals

    monkeypatch.setattr(files, "parse", parse_and_change)
    assert len(read_structures(path)) == 2
    assert not cache.exists()


class Canary:
    def __reduce__(self):
        return exec, ("import builtins; builtins.cache_was_unpickled = True",)


def hostile_cache():
    """An archive like a cache whose key is a pickle that runs code."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|O", "fortran_order": False, "shape": ()})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("key.npy", array.getvalue() + pickle.dumps(Canary()))
    return archive.getvalue()


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "text", "pickle", "pickled key"])
def test_a_broken_or_hostile_cache_is_ignored_and_rewritten(slow_file, monkeypatch, harm):
    import builtins

    path, cache = slow_file
    expected = read_structures(path)
    good = cache.read_bytes()
    start = good.index(expected.fractional.tobytes())
    cache.write_bytes(
        {
            "cut": good[:-200],
            "flipped": good[: start + 5] + bytes([good[start + 5] ^ 1]) + good[start + 6 :],
            "empty": b"",
            "text": b"hello",
            "pickle": pickle.dumps(Canary()),
            "pickled key": hostile_cache(),
        }[harm]
    )
    calls = parses(monkeypatch)
    assert_equal(read_structures(path), expected)
    assert len(calls) == 1
    assert cache.read_bytes() == good
    assert not hasattr(builtins, "cache_was_unpickled")


def test_a_cache_that_cannot_be_written_is_no_error(slow_file):
    path, cache = slow_file
    cache.with_name(cache.name + ".part").mkdir(parents=True)
    assert len(read_structures(path)) == 2
    assert not cache.exists()


def test_quick_files_leave_no_cache_and_slow_ones_say_so(slow_file, monkeypatch, caplog):
    path, cache = slow_file
    with caplog.at_level(logging.INFO):
        read_structures(path)
    assert sum("takes a while" in record.message for record in caplog.records) == 1
    cache.unlink()
    monkeypatch.setattr(files, "SLOW_SECONDS", 60.0)
    read_structures(path)
    assert not cache.exists()


def test_a_terminal_gets_a_progress_bar(slow_file, monkeypatch, caplog):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert len(read_structures(slow_file[0])) == 2
    assert "reading set.extxyz" in terminal.getvalue()


def test_a_log_gets_lines_with_the_structures_left(monkeypatch, capsys):
    monkeypatch.setattr(files, "SLOW_SECONDS", -1.0)
    frames = ((number, number / 4) for number in range(1, 5))
    assert list(files.reported_if_slow(frames, Path("set.extxyz"))) == [1, 2, 3, 4]
    assert capsys.readouterr().err.startswith("set.extxyz: remaining structures read: 3 of 3, 0 s left")


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


def test_the_cache_knows_whether_such_frames_were_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SLOW_SECONDS", 0)
    path = tmp_path / "set.extxyz"
    path.write_text(text(FRAME, changed(MOVED, 4, "O 2.0 nan 0.4")))
    assert len(read_structures(path, not_finite=True)) == 2
    assert list(tmp_path.glob(".cryingan/*.npz")), "there is a cache"
    assert "frame 2, atom 2" in refusal(path)
