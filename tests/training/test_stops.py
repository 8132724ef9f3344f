"""Kills, full disks and hostile files: nothing good is lost and nothing is executed."""

import pickle
import re
from pathlib import Path

import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import AtomicCheckpointIO, load_model, newest_checkpoint
from tests.support.checkpoints import assert_same
from tests.support.command import call
from tests.support.killed_training import QUICK
from train import train


def test_twenty_kills_lose_nothing(tiny, tmp_path, structures_file, monkeypatch):
    temporary = "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)  # another filesystem than the run folder
    monkeypatch.setenv("TMPDIR", temporary)
    result = call("tests/support/killed_training.py", str(tmp_path / "killed"), str(structures_file), "20")
    assert result.returncode == 0, result.stderr[-2000:]
    said = re.match(r"kills (\d+), during a save (\d+), epochs (\d+)", result.stdout)
    kills, during_save, epochs = map(int, said.groups())
    assert kills == 20
    assert during_save >= 5
    train(tiny(*QUICK, f"run_dir={tmp_path / 'whole'}", f"trainer.max_epochs={epochs}"))
    assert_same(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "killed/checkpoints/last.ckpt")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "killed/metrics.csv").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_names_the_path_and_leaves_the_last_checkpoint(tiny, tmp_path):
    train(tiny("trainer.max_epochs=1"))
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    before = checkpoint.read_bytes()
    (tmp_path / "run/checkpoints/last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(CryinGANError, match=r"last\.ckpt cannot be written: No space left on device"):
        train(tiny("trainer.max_epochs=2"))
    assert checkpoint.read_bytes() == before
    train(tiny("trainer.max_epochs=2"))
    assert read_checkpoint(checkpoint)["epoch"] == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CryinGANError, match="file cannot be made"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file/last.ckpt")


def test_a_run_folder_that_cannot_be_made_is_named(tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CryinGANError, match="file/run"):
        train(tiny(f"run_dir={tmp_path}/file/run"))


class Hostile:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_hostile_checkpoint_executes_nothing(tiny, tmp_path, write):
    canary, path = tmp_path / "canary", tmp_path / "hostile.ckpt"
    write({"state_dict": Hostile(canary), "cryingan_format": 1}, path)
    for use in (read_checkpoint, load_model, lambda path: train(tiny(f"resume={path}"))):
        with pytest.raises(CryinGANError, match=r"hostile\.ckpt"):
            use(path)
    assert not canary.exists()


def test_a_checkpoint_cut_short_is_named_and_passed_over(tiny, tmp_path):
    train(tiny("trainer.max_epochs=2", "callbacks.milestones.every_n_epochs=1"))
    folder = tmp_path / "run/checkpoints"
    last = folder / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.raises(CryinGANError, match=r"last\.ckpt is not a whole checkpoint"):
        read_checkpoint(last)
    assert newest_checkpoint(folder) == folder / "epoch_000002.ckpt"
    train(tiny())
    assert read_checkpoint(last)["epoch"] == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"weights": torch.zeros(2)}, "not a checkpoint of"),
        (torch.zeros(2), "holds a Tensor"),
        ({"cryingan_format": 99}, "newer cryingan"),
        ({"cryingan_format": 1, "hyper_parameters": {"cell": 3}, "state_dict": {}}, "does not fit"),
    ],
)
def test_files_that_are_no_checkpoint_of_ours(tmp_path, content, said):
    path = tmp_path / "other.ckpt"
    torch.save(content, path)
    with pytest.raises(CryinGANError, match=said):
        load_model(path)
