"""Structures, checkpoints, summaries and reports are in the lineage of W&B, without gigabytes and offline, too."""

import json
from types import SimpleNamespace

import pytest

from callbacks.wandb_artifacts import log_files, log_report
from callbacks.wandb_guard import GuardedRun
from callbacks.wandb_run import RUN_ID, wandb_logger
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import TINY, compose
from tests.support.wandb_files import records
from train import train

REPORT = {"logger": {"wandb": {"_target_": "callbacks.wandb_run.wandb_logger", "project": "p", "mode": None}}}


def entries(artifact):
    return {entry["path"]: entry for entry in artifact["manifest"]["contents"]}


@pytest.mark.usefixtures("undrawn")
def test_a_run_has_its_structures_checkpoints_and_summary(structures_file, tmp_path):
    tiny = [one for one in TINY if one != "~callbacks.summary"]
    run = tmp_path / "run"
    train(compose(f"data.path={structures_file}", f"run_dir={run}", "logger=wandb", *tiny, "trainer.max_epochs=1"))
    (folder,) = (run / "wandb").glob("offline-run-*")
    run_id = read_checkpoint(run / "checkpoints/last.ckpt")[RUN_ID]
    structures, model, report = records(folder, "artifact")
    assert (structures["type"], structures["name"], structures["use_after_commit"]) == ("dataset", "tiny", True)
    [reference] = entries(structures).values()
    assert reference["ref"] == structures_file.as_uri()
    assert json.loads(structures["metadata"])["structures"] == 24
    assert (model["type"], model["name"]) == ("model", f"model-{run_id}")
    assert entries(model)["last.ckpt"]["ref"] == (run / "checkpoints/last.ckpt").as_uri()
    assert (report["type"], set(entries(report))) == ("report", {"summary.json", "training.png"})
    assert not any("ref" in entry for entry in entries(report).values())


def test_artifacts_can_be_left_out(tiny, tmp_path):
    quick = ("~callbacks.quality", "~callbacks.structures", "trainer.max_epochs=1")
    train(tiny("logger=wandb", *quick, "logger.wandb.artifacts=null"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    assert records(folder, "artifact") == []
    with pytest.raises(CryinGANError, match=r"logger\.wandb\.artifacts=all: use references, files or null"):
        train(tiny("logger=wandb", *quick, "logger.wandb.artifacts=all", "run_dir=other"))


def test_checkpoints_are_sent_where_that_is_asked_for(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"1" * 100)
    logged = []
    run = GuardedRun(SimpleNamespace(id="ab12", log_artifact=logged.append))
    log_files(run, "model", tmp_path, ("best.ckpt", "last.ckpt"), True)
    log_files(run, "model", tmp_path, ("best.ckpt",), True)
    [artifact] = logged
    assert {name: entry.ref for name, entry in artifact.manifest.entries.items()} == {"last.ckpt": None}


def settings(**changes):
    return {"logger": {"wandb": {**REPORT["logger"]["wandb"], "artifacts": "references", **changes}}}


def test_the_report_of_a_sweep_is_a_run_of_its_own(tmp_path):
    (tmp_path / "report.html").write_text("<html></html>")
    log_report(tmp_path / "report.html", {tmp_path / "a": settings()})
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    [run] = [record for record in records(folder, "run") if record.get("job_type")]
    assert (run["job_type"], run["project"], run["display_name"]) == ("report", "p", tmp_path.name)
    [artifact] = records(folder, "artifact")
    assert set(entries(artifact)) == {"report.html"}
    for others in ({}, settings(artifacts=None), settings(mode="disabled"), {"logger": {}}):
        log_report(tmp_path / "report.html", {tmp_path / "a": others})
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1


def test_the_report_is_made_from_the_checkpoints_of_its_runs(tmp_path, monkeypatch, checkpoint):
    (tmp_path / "report.html").write_text("<html></html>")
    content = read_checkpoint(checkpoint)
    run = SimpleNamespace(offline=False, id="r", used=[], logged=[])
    run.use_artifact = lambda name, **_: run.used.append(name)
    run.log_artifact = run.logged.append
    logger = SimpleNamespace(experiment=GuardedRun(run), close=lambda: None)
    monkeypatch.setattr("callbacks.wandb_artifacts.wandb_logger", lambda *_, **__: logger)
    monkeypatch.setattr("callbacks.wandb_artifacts.read_checkpoint", lambda path: {**content, RUN_ID: "ab12"})
    log_report(tmp_path / "report.html", {checkpoint.parents[1]: settings(mode="online"), tmp_path / "b": settings()})
    assert run.used == ["model-ab12:latest"]
    assert [artifact.type for artifact in run.logged] == ["report"]


def test_a_group_that_is_too_long_for_wandb_keeps_its_beginning(tmp_path):
    names = [wandb_logger(str(tmp_path), group="a" * 150 + end)._wandb_init["group"] for end in "bc"]
    assert [len(name) for name in names] == [128, 128]
    assert len(set(names)) == 2
