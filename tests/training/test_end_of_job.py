"""A queue that announces the end of a job: the epoch is finished and saved, the job queued again, the run resumes."""

import os
import signal

import pytest

from cryingan.storage.checkpoint import read_checkpoint
from tests.support.checkpoints import assert_same
from tests.support.relaxed_runs import RELAX
from train import train

QUICK = ("~callbacks.quality", "~callbacks.structures", "callbacks.last.every_n_epochs=10")


@pytest.fixture
def scontrol(monkeypatch, tmp_path):
    """A program of this name that notes its arguments in the file that is returned."""
    noted = tmp_path / "noted"
    program = tmp_path / "bin/scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    return noted


def signalled(epoch, number):
    """Overrides that send this process a signal in the middle of an epoch."""
    target = "+callbacks.signal._target_=tests.support.callbacks.SendSignal"
    return target, f"+callbacks.signal.epoch={epoch}", f"+callbacks.signal.number={int(number)}"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_the_epoch_is_finished_the_job_queued_again_and_the_run_is_the_same(tiny, tmp_path, scontrol, number):
    train(tiny(*QUICK, f"run_dir={tmp_path / 'whole'}"))
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended:
        train(tiny(*QUICK, *signalled(1, number)))
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) == before
    assert scontrol.read_text() == "requeue 77\n"
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] == 1
    train(tiny(*QUICK))
    assert_same(tmp_path / "whole/checkpoints/last.ckpt", tmp_path / "run/checkpoints/last.ckpt")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "run/metrics.csv").read_bytes()


def test_a_task_of_an_array_is_queued_by_its_number(tiny, scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    with pytest.raises(SystemExit):
        train(tiny(*QUICK, *signalled(0, signal.SIGUSR1)))
    assert scontrol.read_text() == "requeue 70_3\n"


def test_a_run_that_ends_by_itself_is_not_queued_again(tiny, scontrol):
    train(tiny(*QUICK, "trainer.max_epochs=1", *signalled(0, signal.SIGUSR1)))
    assert not scontrol.exists()


def test_a_job_that_ends_while_it_waits_for_relaxations_is_queued_again(tiny, scontrol, capsys):
    slow = ("callbacks.relax.n_samples=400", "relax.fmax=1e-9", "trainer.max_epochs=1")
    with pytest.raises(SystemExit) as ended:
        train(tiny(*QUICK, *RELAX, *slow, *signalled(0, signal.SIGUSR1)))
    assert ended.value.code == 128 + signal.SIGUSR1
    assert "terminated before the relaxation of epoch_000001 was done" in capsys.readouterr().out
    assert scontrol.read_text() == "requeue 77\n"


def test_replicas_stop_together(tiny, tmp_path, scontrol):
    with pytest.raises(SystemExit):
        train(tiny(*QUICK, "replicas=2", f"run_dir='{tmp_path}/r${{seed}}'", *signalled(1, signal.SIGUSR1)))
    assert [read_checkpoint(tmp_path / f"r{n}/checkpoints/last.ckpt")["epoch"] for n in (1, 2)] == [1, 1]
    assert scontrol.read_text() == "requeue 77\n"


def test_a_handler_of_before_decides_what_follows(tiny, scontrol):
    """As submitit's, which queues the job again with what it has pickled."""
    called = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: called.append(number))
    try:
        with pytest.raises(SystemExit):
            train(tiny(*QUICK, *signalled(1, signal.SIGUSR2)))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert called == [signal.SIGUSR2]
    assert not scontrol.exists()
