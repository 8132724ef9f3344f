"""Extended XYZ files: what cannot be read, which variants can, and random mutations."""

import logging
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures
from cryingan.structures.lenient import read_candidates
from tests.support.structure_files import (
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
    "short lattice": (text(FRAME, keys(LATTICE, "4 0 0 0 4 0 0 4")), "frame 2, line 8: Got info item Lattice"),
    "pbc of two": (text(keys("T T T", "T T")), "frame 1, line 2"),
    "no positions": (text(keys("pos:R:3", "velo:R:3")), "frame 1, line 2: Properties should hold"),
    "no species": (text(keys("species:S:1", "name:S:1")), "frame 1, line 2: Properties should hold"),
    "hostile columns": (text(keys("R:3", "R:3:f:R:999999999")), "frame 1, line 2: Properties has a number of columns"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, content, message):
    check_refusal(tmp_path / "set.extxyz", content, message)


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


@pytest.mark.parametrize("change", [str.lower, str.upper, str.capitalize])
def test_keys_are_read_in_any_case(tmp_path, change):
    (tmp_path / "usual.xyz").write_text(text(FRAME, MOVED))
    frame = changed(FRAME, 2, re.sub(r"Lattice|Properties|pbc|species|pos", lambda word: change(word[0]), KEYS))
    (tmp_path / "set.xyz").write_text(text(frame, MOVED))
    read, usual = (read_structures(tmp_path / f"{name}.xyz") for name in ("set", "usual"))
    np.testing.assert_array_equal(read.fractional, usual.fractional)
    np.testing.assert_array_equal(read.cell, usual.cell)


@pytest.mark.parametrize("words", ["no lattice", "lattice properties", "a lattice of salt"])
def test_a_word_of_a_comment_is_no_lattice(tmp_path, words):
    check_refusal(tmp_path / "set.xyz", text(changed(FRAME, 2, words)), "frame 1 has no cell")


@pytest.mark.parametrize("lattice", ['lattice="6 5 7"', "LATTICE=6", 'Lattice="a b c"'])
def test_a_lattice_of_another_length_is_refused(tmp_path, lattice):
    check_refusal(tmp_path / "set.xyz", text(changed(FRAME, 2, lattice)), "frame 1, line 2: ")


def test_a_frame_that_a_killed_job_cut_ends_where_the_next_one_begins(tmp_path):
    path = tmp_path / "set.xyz"
    path.write_text(text(FRAME, MOVED[:4], FRAME, MOVED))
    assert "frame 2 ends early: 4 atoms promised, 2 found" in refusal(path)
    assert [frame.atoms is None for frame in read_candidates(path)] == [False, True, False, False]
    equal = [[*FRAME[:2], *[re.sub(r"\.(\d)", r".\g<1>00", row) for row in FRAME[2:]]]] * 2
    path.write_text(text(*equal)[:-3])
    assert "frame 2 ends early: within the last number" in refusal(path)
    path.write_text(text(*equal)[:-1])
    assert len(read_structures(path)) == 2
