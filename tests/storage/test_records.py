"""Records survive a kill at any byte."""

import multiprocessing
import time

import numpy as np
import pytest

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.storage.records import RecordFile

KEY = {"structures": "abc", "settings": {"a": 1}}
RECORDS = [b"first", b"\n", b"\x00" * 12, bytes(range(256))]


def written(path):
    file = RecordFile(path, KEY)
    for record in RECORDS:
        file.append(record)
    return path.read_bytes()


def test_cut_at_any_byte_only_the_torn_record_is_lost(tmp_path):
    path = tmp_path / "records"
    whole = written(path)
    ends = np.cumsum([len(whole) - sum(12 + len(record) for record in RECORDS), *(12 + len(one) for one in RECORDS)])
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(int((ends <= cut).sum()) - 1, 0)
        file = RecordFile(path, KEY, cache=bool(cut < ends[0]))  # without a header nothing says whose it is
        assert list(file) == RECORDS[:kept], cut
        for record in RECORDS[kept:]:
            file.append(record)
        assert path.read_bytes() == whole, cut


def test_a_damaged_record_is_not_believed(tmp_path):
    whole = written(tmp_path / "records")
    for place in range(len(whole) - 300, len(whole)):
        content = bytearray(whole)
        content[place] ^= 255
        (tmp_path / "records").write_bytes(content)
        assert list(RecordFile(tmp_path / "records", KEY)) in [RECORDS[:n] for n in range(4)]


def test_a_killed_writer_loses_at_most_the_record_in_hand(tmp_path):
    path = tmp_path / "records"

    def write_forever():
        file = RecordFile(path, KEY)
        for number in range(10**9):
            file.append(str(number).encode() * 5000)

    for _ in range(5):
        path.unlink(missing_ok=True)
        process = multiprocessing.get_context("fork").Process(target=write_forever)
        process.start()
        while not path.exists() or path.stat().st_size < 10**5:
            time.sleep(0.001)
        process.kill()
        process.join()
        found = list(RecordFile(path, KEY))
        assert found == [str(number).encode() * 5000 for number in range(len(found))]
        assert len(found) > 2


def test_other_records_are_refused_and_replaced_in_a_cache(tmp_path):
    path = tmp_path / "records"
    written(path)
    with pytest.raises(OtherResultsError, match="holds results with other settings: give another output"):
        RecordFile(path, {**KEY, "settings": {"a": 2}})
    assert list(RecordFile(path, KEY)) == RECORDS
    assert list(RecordFile(path, {**KEY, "settings": {"a": 2}}, cache=True)) == []


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, caplog):
    path = tmp_path / "missing/records"
    file = RecordFile(path, KEY, cache=True)
    file.append(b"lost")
    assert list(file) == []
    assert not file.writable
    assert "computed again next time" in caplog.text
    with pytest.raises(CryinGANError, match="cannot be written"):
        RecordFile(path, KEY)


def test_a_cache_with_another_key_that_cannot_be_replaced_is_not_read(tmp_path, monkeypatch, caplog):
    written(tmp_path / "records")

    def full(*_):
        raise CryinGANError("the disk is full")

    monkeypatch.setattr("cryingan.storage.records.replace_file", full)
    file = RecordFile(tmp_path / "records", {"structures": "new"}, cache=True)
    assert list(file) == []
    file.append(b"lost")
    assert "the disk is full; it will all be computed again" in caplog.text


def test_a_cache_that_cannot_be_read_is_done_without(tmp_path, monkeypatch):
    path = tmp_path / "records"
    path.mkdir()  # opening it is an OSError, also for root
    assert list(RecordFile(path, KEY, cache=True)) == []
