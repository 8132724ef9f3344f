"""Read files of every format; the cache, and the report of slow reading."""

import bz2
import gzip
import io
import logging
import lzma
import pickle
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest

from cryingan.structures import files
from cryingan.structures.files import read_structures
from cryingan.structures.frames import RawFrame
from tests.support.structure_files import FRAME, MOVED, TRICLINIC, changed, refusal, scattered_crystals, text


def test_folders_and_missing_files_and_unknown_formats_are_refused(tmp_path):
    assert "holds no structures" in refusal(tmp_path)
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


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files_are_read(tmp_path, suffix, compress):
    (tmp_path / f"set@1.extxyz.{suffix}").write_bytes(compress(text(FRAME, MOVED).encode()))
    assert len(read_structures(tmp_path / f"set@1.extxyz.{suffix}")) == 2


@pytest.mark.parametrize("name", ["set@0.traj", "set.json", "set.xsf", "XDATCAR"])
def test_other_formats_of_many_frames_are_read(tmp_path, name):
    crystals = scattered_crystals(TRICLINIC, ("Li", "Li", "O"))
    ase.io.write(tmp_path / name, crystals.to_ase(), format="vasp-xdatcar" if name == "XDATCAR" else None)
    read = read_structures(tmp_path / name)
    assert read.species == crystals.species
    np.testing.assert_allclose(read.fractional, crystals.fractional, atol=1e-7)


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


def test_the_cache_knows_whether_frames_that_are_not_finite_were_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SLOW_SECONDS", 0)
    path = tmp_path / "set.extxyz"
    path.write_text(text(FRAME, changed(MOVED, 4, "O 2.0 nan 0.4")))
    assert len(read_structures(path, not_finite=True)) == 2
    assert list(tmp_path.glob(".cryingan/*.npz")), "there is a cache"
    assert "frame 2, atom 2" in refusal(path)


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
    frames = [RawFrame(None, f"frame {number}", number / 4, {}) for number in range(1, 5)]
    assert list(files.reported_if_slow(iter(frames), Path("set.extxyz"))) == frames
    assert capsys.readouterr().err.startswith("set.extxyz: structures read: 4 of 4, 0 s left")
    ahead = [frame._replace(share=1.0) for frame in frames]  # the reader is at the end of a short file at once
    assert list(files.reported_if_slow(iter(ahead), Path("set.extxyz"))) == ahead
    assert capsys.readouterr().err == "set.extxyz: structures read: 4 of 4, 0 s left\n"
