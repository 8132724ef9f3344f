"""Descriptors survive kills and do not depend on who computes them in which order."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.evaluation import describe as describing
from cryingan.evaluation.describe import DescriptorFile, describe_all
from cryingan.structures.lenient import Candidate

KEY = {"structures": "abc", "settings": {"a": 1}}


def frame(number):
    return Candidate(number, "", Atoms("Li", positions=[[number, 0, 0]], cell=np.eye(3) * 50, pbc=True))


FRAMES = [frame(1), Candidate(2, "", None, "no cell"), *map(frame, range(3, 9))]


def squares(atoms):
    x = atoms.positions[0, 0]
    if x == 5:
        raise CryinGANError("five is refused")
    if x == 6:
        raise ZeroDivisionError("a library\nfailed")
    return {"square": np.array([x**2, -x]), "whole": np.array(int(x)), "name": np.array("x" * int(x))}


def fails_at_four(error, atoms):
    if atoms.positions[0, 0] == 4:
        raise error("for now")
    return squares(atoms)


def check(described):
    assert [one.number for one in described] == list(range(1, 9))
    reasons = {one.number: one.reason for one in described if one.reason}
    assert reasons == {2: "no cell", 5: "five is refused", 6: "ZeroDivisionError: a library failed"}
    for one in described:
        if not one.reason:
            np.testing.assert_array_equal(one.arrays["square"], [one.number**2, -one.number])
            assert one.arrays["whole"] == one.number
            assert one.arrays["name"] == "x" * one.number
            assert one.composition == {"Li": 1}


@pytest.mark.parametrize("processes", [1, 2])
def test_serial_and_parallel_are_equal(monkeypatch, processes):
    monkeypatch.setattr(describing, "SECONDS_ALONE", 0.0)
    check(describe_all(FRAMES, squares, processes=processes, progress=False))


def test_what_is_kept_is_not_computed_again(tmp_path):
    path = tmp_path / "descriptors.bin"
    check(describe_all(FRAMES, squares, DescriptorFile(path, KEY), 1, False))
    calls = []

    def counted(atoms):
        calls.append(int(atoms.positions[0, 0]))
        return squares(atoms)

    check(describe_all(FRAMES[::-1], counted, DescriptorFile(path, KEY), 1, False))
    assert calls == [6]  # its failure was a library's


@pytest.mark.parametrize("error", [MemoryError, OSError])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_failure_of_the_computer_is_no_failure_of_a_structure(tmp_path, monkeypatch, error, processes):
    monkeypatch.setattr(describing, "SECONDS_ALONE", 0.0)
    path = tmp_path / "descriptors.bin"
    with pytest.raises(error):
        describe_all(FRAMES, partial(fails_at_four, error), DescriptorFile(path, KEY), processes, False)
    assert 4 not in DescriptorFile(path, KEY).known
    check(describe_all(FRAMES, squares, DescriptorFile(path, KEY), 1, False))


def test_a_file_torn_anywhere_is_gone_on_with(tmp_path):
    path = tmp_path / "descriptors.bin"
    describe_all(FRAMES, squares, DescriptorFile(path, KEY), 1, False)
    whole = path.read_bytes()
    lengths, at = [], 0
    while at < len(whole):
        at += 12 + int.from_bytes(whole[at : at + 8], "little")
        lengths.append(at)
    rng = np.random.default_rng(0)
    cuts = {*lengths, *(length - 1 for length in lengths), *(length + 4 for length in lengths[:-1])}
    for cut in sorted(cuts | set(rng.integers(0, len(whole), 20).tolist())):
        path.write_bytes(whole[:cut])
        kept = DescriptorFile(path, KEY, cache=cut < lengths[0])  # without a header nothing says whose it is
        assert len(kept.known) == max(sum(length <= cut for length in lengths) - 1, 0)
        check(describe_all(FRAMES, squares, kept, 1, False))
        assert path.read_bytes() == whole


def test_a_damaged_record_is_not_believed(tmp_path):
    path = tmp_path / "descriptors.bin"
    describe_all(FRAMES, squares, DescriptorFile(path, KEY), 1, False)
    whole = path.read_bytes()
    header = 12 + int.from_bytes(whole[:8], "little")
    for place in np.random.default_rng(0).integers(header, len(whole), 40).tolist():
        content = bytearray(whole)
        content[place] ^= 255
        path.write_bytes(content)
        kept = DescriptorFile(path, KEY)
        assert len(kept.known) < 6
        check(describe_all(FRAMES, squares, kept, 1, False))


def test_other_descriptors_are_refused_but_replaced_in_a_cache(tmp_path):
    path = tmp_path / "descriptors.bin"
    describe_all(FRAMES, squares, DescriptorFile(path, KEY), 1, False)
    with pytest.raises(OtherResultsError, match="other settings"):
        DescriptorFile(path, {**KEY, "settings": {"a": 2}})
    assert len(DescriptorFile(path, KEY).known) == 6
    assert DescriptorFile(path, {**KEY, "settings": {"a": 2}}, cache=True).known == {}
    path.write_bytes(b"something else altogether")
    with pytest.raises(OtherResultsError):
        DescriptorFile(path, KEY)
    assert path.read_bytes() == b"something else altogether"


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog):
    path = tmp_path / "missing/descriptors.bin"
    check(describe_all(FRAMES, squares, DescriptorFile(path, KEY, cache=True), 1, False))
    assert "computed again" in caplog.text
    with pytest.raises(CryinGANError, match="cannot be written"):
        DescriptorFile(path, KEY)
