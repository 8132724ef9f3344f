"""run.json and times.csv."""

import json

import numpy as np
import pytest

from cryingan import __version__
from cryingan.errors import CryinGANError
from cryingan.storage.hashes import file_hash
from cryingan.training.record import code_version, read_record, read_times
from train import train


def test_a_run_says_where_it_comes_from_and_how_long_its_epochs_took(tiny, structures_file, tmp_path):
    train(tiny("trainer.max_epochs=2"))
    record = read_record(tmp_path / "run")
    assert record["command"].startswith("python train.py")
    assert record["version"] == __version__
    assert record["data_sha256"] == file_hash(structures_file)
    assert record["failed"] is None
    first = read_times(tmp_path / "run")
    assert first[:, 0].tolist() == [0, 1]
    assert (np.diff(first[:, 1], prepend=0) > 0).all()
    train(tiny("trainer.max_epochs=3"))
    times = read_times(tmp_path / "run")
    assert times[:, 0].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(times[:2], first)
    assert times[2, 1] > times[1, 1]


def test_a_training_that_fails_says_why_until_it_is_resumed(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise CryinGANError("the loss is NaN")

    with monkeypatch.context() as patched:
        patched.setattr("callbacks.sample_quality.SampleQuality.on_train_epoch_end", fail)
        with pytest.raises(CryinGANError):
            train(tiny("trainer.max_epochs=1"))
    assert read_record(tmp_path / "run")["failed"] == "the loss is NaN"
    train(tiny("trainer.max_epochs=1"))
    assert read_record(tmp_path / "run")["failed"] is None


def test_damaged_files_tell_nothing(tmp_path):
    (tmp_path / "run.json").write_text("{")
    (tmp_path / "times.csv").write_text("epoch,seconds\n0,1.5\n1,3.")  # killed while it was written
    assert read_record(tmp_path) == {}
    assert read_times(tmp_path).tolist() == [[0, 1.5]]
    assert read_times(tmp_path / "nowhere").shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"epoch,seconds\n0,1.5\n\0\0\0\0\n2,4\n", [[0, 1.5]]),
        (b"epoch,seconds\n0,1.5\n1\n2,4\n", [[0, 1.5]]),
        (b"epoch,seconds\n0,1.5\n1,inf\n", [[0, 1.5]]),
        (b"epoch,seconds\n0,1.5\n1,2,3\n", [[0, 1.5]]),
        (b"epoch,seconds\n0,1.5\n\xff\xfe\n", [[0, 1.5]]),
        (b"0,1.5\n1,3\n", []),
        (b"0\n", []),
        (b"\0\0\n", []),
        (b"", []),
    ],
)
def test_times_are_read_up_to_the_first_damaged_line(tmp_path, text, rows):
    (tmp_path / "times.csv").write_bytes(text)
    assert read_times(tmp_path).tolist() == rows
    assert read_times(tmp_path).shape == (len(rows), 2)


@pytest.mark.parametrize("text", [None, b"epoch,seconds\n\0\0\0\0\n"])
def test_a_run_that_resumes_without_its_times_gets_none(tiny, tmp_path, text):
    train(tiny("trainer.max_epochs=1"))
    path = tmp_path / "run/times.csv"
    path.unlink() if text is None else path.write_bytes(text)
    train(tiny("trainer.max_epochs=2"))
    assert read_times(tmp_path / "run").shape == (0, 2)
    assert (tmp_path / "run/metrics.csv").read_text().count("\n") == 3


def test_the_commit_of_a_clone(monkeypatch):
    answers = {"rev-parse": "0123456789ab", "status": " M train.py"}
    monkeypatch.setattr("cryingan.training.record._git", lambda command, *_: answers[command])
    assert json.dumps(code_version()) == json.dumps({"version": __version__, "commit": "0123456789ab+changes"})
