"""The report that a sweep ends with, and the file in which its jobs are written down."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from configs.sweep_report import JOBS, SweepJobs, report_sweep
from cryingan.training.record import read_record
from tests.conftest import TINY
from tests.support.command import call
from tests.support.run_folders import config, write_run


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    path = tmp_path / ".jobs-1"
    path.touch()
    monkeypatch.setenv(JOBS, str(path))
    monkeypatch.setattr("cryingan.report.report.write_charts", lambda *_: None)
    return path


def ended(run_dir, error=None, option="paper", **settings):
    """A job as Hydra returns it."""
    task = ["seed=1", *([] if option else ["model._target_=my.Model"])]
    hydra = {"runtime": {"choices": {"model": option or "cryingan"}}}
    plain = {"replicas": 1, "lambdas": [], **config(**settings), "run_dir": str(run_dir)}
    job = JobReturn(task, OmegaConf.create(plain), OmegaConf.create({"hydra": hydra}))
    job.status = JobStatus.FAILED if error else JobStatus.COMPLETED
    job._return_value = error
    return job


def test_a_job_writes_its_line_at_once(jobs, monkeypatch):
    written, write = [], os.write
    monkeypatch.setattr("os.write", lambda file, data: written.append(data) or write(file, data))
    for seed in (1, 2):
        SweepJobs().on_job_end(None, ended(jobs.parent / str(seed), note="x" * 100_000, seed=seed))
    assert jobs.read_bytes() == b"".join(written)
    assert [json.loads(line)["model"] for line in written] == ["paper", "paper"]


def test_the_class_of_a_user_is_not_named_after_the_option(jobs):
    SweepJobs().on_job_end(None, ended(jobs.parent, option=None))
    assert json.loads(jobs.read_text())["model"] is None


def test_a_line_that_cannot_be_read_is_named_and_the_rest_reported(jobs, capsys):
    write_run(jobs.parent / "a", config(), epochs=1, relaxed=False)
    SweepJobs().on_job_end(None, ended(jobs.parent / "a"))
    jobs.write_text('{"job": "seed=' + jobs.read_text()[:9] + "\n" + jobs.read_text())
    report_sweep()
    told = capsys.readouterr()
    assert told.err.startswith(f"train.py: {jobs}, line 1: ")
    assert told.err.count("\n") == 1
    assert told.out == f"report of 1 runs: {jobs.parent}/report.html\n"
    assert not jobs.exists()


def test_the_reason_of_a_run_that_never_began_is_found_however_its_folder_is_written(jobs, monkeypatch):
    monkeypatch.chdir(jobs.parent)
    SweepJobs().on_job_end(None, ended("./runs/x", RuntimeError("no memory")))
    SweepJobs().on_job_end(None, ended("./runs/y"))
    report_sweep()
    table = Path("runs/report/table_run.csv").read_text()
    assert "failed: RuntimeError: no memory,not relaxed,runs/x" in table


def test_a_sweep_with_an_unexpected_error_ends_in_its_report(tmp_path, structures_file):
    arguments = ["-m", f"data.path={structures_file}", f"run_dir={tmp_path}/s${{seed}}", *TINY, "trainer.max_epochs=1"]
    arguments += ["+callbacks.broken._target_=tests.support.callbacks.Broken", "~callbacks.quality", "logger=csv"]
    result = call("train.py", *arguments, "seed=1,2", "~callbacks.structures")
    assert result.returncode == 1
    assert "RuntimeError: out of luck" in result.stderr
    assert f"report of 2 runs: {tmp_path}/report.html" in result.stdout
    assert (tmp_path / "report/table_run.csv").read_text().count("failed: RuntimeError: out of luck") == 2
    assert {read_record(tmp_path / f"s{seed}")["model"] for seed in (1, 2)} == {"paper"}
    assert not list(tmp_path.rglob(".jobs-*"))


def test_a_sweep_that_is_stopped_writes_no_report(jobs, monkeypatch):
    import hydra

    from configs.entry import run

    def stop(*_, **__):
        raise KeyboardInterrupt

    write_run(jobs.parent / "a", config(), epochs=1, relaxed=False)
    SweepJobs().on_job_end(None, ended(jobs.parent / "a"))
    monkeypatch.setattr(hydra, "main", lambda **_: lambda _: stop)
    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit):
        run("train", SimpleNamespace)
    assert not (jobs.parent / "report.html").exists()
    assert not jobs.exists()
