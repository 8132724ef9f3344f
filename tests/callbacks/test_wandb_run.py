import csv
import json
from pathlib import Path

import pytest

from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import TINY, compose
from tests.support.relaxed_runs import RELAX
from tests.support.wandb_files import inspect, last_values
from train import train


def last_row(path: Path):
    with path.open() as file:
        return {key: float(value) for key, value in list(csv.DictReader(file))[-1].items() if value}


def test_the_offline_run_holds_what_metrics_csv_holds(tiny, tmp_path):
    train(tiny("logger=wandb", "callbacks.structures.pictures=1", "trainer.max_epochs=2"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    report = json.loads(inspect(folder, "--summary", "--json"))
    row = last_row(tmp_path / "run/metrics.csv")
    assert {key: last_values(report["summary"])[key] for key in row} == row
    assert report["name"] == "lambda0.05_avg_seed1"
    assert report["config"]["lambda"] == 0.05
    assert report["config"]["pooling"] == "avg"
    started = next(r for r in map(json.loads, inspect(folder, "--json").splitlines()) if r["type"] == "run")["run"]
    assert started["run_group"] == "tiny_lambda0.05_avg"
    assert started["job_type"] == "train"
    pairs = report["summary"]["samples/close_pairs"]
    assert set(pairs) == {"min", "last"}
    assert pairs["min"] <= pairs["last"]
    assert set(started["tags"]) == {"tiny", "lambda=0.05", "pooling=avg", "seed=1"}


def test_a_resumed_run_continues_the_same_wandb_run(tiny, tmp_path):
    train(tiny("logger=wandb", "trainer.max_epochs=1"))
    first = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"]
    train(tiny("logger=wandb", "trainer.max_epochs=2"))
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"] == first
    assert all(first in path.name for path in (tmp_path / "run/wandb").glob("offline-run-*"))


def contents(folder):
    """Every file and what it holds; of W&B's, which another process finishes late, the name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: None if "wandb" in path.parts else path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "change",
    [
        "data.batch_size=6",
        "model.channels=5",
        "data.path={other}",
        "init={run}",
        "callbacks.best={{_target_: callbacks.keep_best.KeepBest, key: relax/fraction_below_0}}",
    ],
)
def test_a_refused_resume_touches_no_wandb_run(tiny, tmp_path, structures_file, change):
    quick = ("logger=wandb", "~callbacks.quality", "~callbacks.structures")
    train(tiny(*quick, "trainer.max_epochs=1"))
    before = contents(tmp_path / "run")
    (tmp_path / "other.extxyz").write_text(structures_file.read_text().replace("0.1", "0.2"))
    change = change.format(other=tmp_path / "other.extxyz", run=tmp_path / "run")
    with pytest.raises(CryinGANError):
        train(tiny(*quick, "trainer.max_epochs=2", change))
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(("name", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
def test_wandb_that_is_switched_off_is_left_alone_and_the_run_continues_later(
    tiny, tmp_path, monkeypatch, capsys, name, value
):
    quick = ("logger=wandb", "~callbacks.quality", "~callbacks.structures")
    train(tiny(*quick, "trainer.max_epochs=1"))
    first = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"]
    runs = set((tmp_path / "run/wandb").glob("offline-run-*"))
    monkeypatch.setenv(name, value)
    train(tiny(*quick, "trainer.max_epochs=2"))
    said = capsys.readouterr().out
    assert "W&B is switched off" in said
    assert "W&B: " not in said  # no artifact is tried
    assert set((tmp_path / "run/wandb").glob("offline-run-*")) == runs
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"] == first


@pytest.mark.parametrize("mode", ["inline", "background"])
def test_a_potential_that_is_refused_leaves_neither_a_wandb_run_nor_a_folder(tiny, tmp_path, mode):
    missing = ("potential=ase", "potential.calculator=no.such", f"callbacks.relax.mode={mode}")
    with pytest.raises(CryinGANError, match=r"no\.such"):
        train(tiny("logger=wandb", *RELAX, *missing))
    assert not (tmp_path / "run").exists()


def test_a_finished_run_prints_one_line_and_opens_no_wandb_run_unless_a_relaxation_is_due(
    structures_file, tmp_path, capsys
):
    common = [override for override in TINY if override != "~callbacks.summary"]
    common += [f"data.path={structures_file}", f"run_dir={tmp_path / 'run'}"]
    arguments = (*common, *RELAX, "callbacks.relax.mode=inline", "callbacks.relax.n_samples=2", "trainer.max_epochs=2")
    train(compose("logger=csv", *arguments))
    before = contents(tmp_path / "run")
    capsys.readouterr()
    train(compose("logger=wandb", *arguments))
    assert contents(tmp_path / "run") == before
    said = capsys.readouterr().out
    assert "has all its 2 epochs" in said
    assert "samples after" not in said

    with (tmp_path / "run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[1] = {key: "" if key.startswith("relax/") else value for key, value in rows[1].items()}
    with (tmp_path / "run/metrics.csv").open("w", newline="") as file:
        csv.DictWriter(file, rows[0]).writerows([dict(zip(rows[0], rows[0], strict=True)), *rows])
    train(compose("logger=wandb", *arguments))
    assert "samples after 2 epochs" in capsys.readouterr().out
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    report = json.loads(inspect(folder, "--summary", "--json"))
    assert report["config"]["lambda"] == 0.05
    assert "max" in report["summary"]["relax/fraction_below_0"]
    (tmp_path / "run/summary.json").unlink()
    train(compose("logger=csv", *arguments))
    assert (tmp_path / "run/summary.json").exists(), "a kill before the summary"
