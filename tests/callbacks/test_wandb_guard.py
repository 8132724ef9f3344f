"""Nothing that happens to W&B ends a training."""

from pathlib import Path

import pytest
import wandb

from callbacks.wandb_guard import GuardedRun
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import TINY
from tests.support.command import call
from train import train


class Run:
    id = "ab12"

    def log(self, values):
        raise OSError("no space left")

    def save(self, path):
        return [path]


def test_what_fails_is_told_once_and_left_out(capsys):
    run = GuardedRun(Run())
    assert run.id == "ab12"
    assert run.save("a") == ["a"]
    assert [run.log({}), run.log({})] == [None, None]
    assert run.attempt(lambda run, part: 1 / part, 0) is None
    assert capsys.readouterr().out == (
        "W&B: no space left; the run continues, and its folder has everything\n"
        "W&B: division by zero; the run continues, and its folder has everything\n"
    )


@pytest.mark.parametrize(
    ("of", "method"),
    [*((wandb.Run, name) for name in ("log", "log_artifact", "_log_artifact", "finish")), (wandb.Config, "update")],
)
def test_a_training_outlives_errors_of_wandb(tiny, tmp_path, monkeypatch, capsys, of, method):
    def broken(*_, **__):
        raise RuntimeError("W&B is broken")

    monkeypatch.setattr(of, method, broken)
    train(tiny("logger=wandb", "~callbacks.structures", "trainer.max_epochs=2"))
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] == 1
    assert capsys.readouterr().out.count("W&B is broken") == 1


def test_a_training_outlives_the_process_of_wandb(tmp_path, structures_file, monkeypatch):
    monkeypatch.delenv("WANDB_SERVICE", raising=False)  # that of this process, where a test has begun one
    command = [f"data.path={structures_file}", f"run_dir={tmp_path}/run", *TINY, "logger=wandb"]
    command += ["~callbacks.structures", "trainer.max_epochs=3"]
    result = call("train.py", *command, "+callbacks.kill._target_=tests.support.callbacks.KillWandb")
    assert result.returncode == 0, result.stderr
    assert "W&B: " in result.stdout
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] == 2
    assert Path(tmp_path / "run/metrics.csv").read_text().count("\n") == 4
