import csv
import json
from pathlib import Path

from cryingan.storage.checkpoint import read_checkpoint
from tests.support.wandb_files import inspect
from train import train


def last_row(path: Path):
    with path.open() as file:
        return {key: float(value) for key, value in list(csv.DictReader(file))[-1].items() if value}


def test_the_offline_run_holds_what_metrics_csv_holds(tiny, tmp_path):
    train(tiny("logger=wandb", "callbacks.structures.pictures=1", "trainer.max_epochs=2"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    report = json.loads(inspect(folder, "--summary", "--json"))
    row = last_row(tmp_path / "run/metrics.csv")
    assert {key: report["summary"][key] for key in row} == row
    assert report["name"] == "lambda0.05_avg_seed1"
    assert report["config"]["lambda"] == 0.05
    assert report["config"]["pooling"] == "avg"
    started = next(r for r in map(json.loads, inspect(folder, "--json").splitlines()) if r["type"] == "run")["run"]
    assert started["run_group"] == "tiny"
    assert set(started["tags"]) == {"tiny", "lambda=0.05", "pooling=avg", "seed=1"}


def test_a_resumed_run_continues_the_same_wandb_run(tiny, tmp_path):
    train(tiny("logger=wandb", "trainer.max_epochs=1"))
    first = read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"]
    train(tiny("logger=wandb", "trainer.max_epochs=2"))
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["wandb_run_id"] == first
    assert all(first in path.name for path in (tmp_path / "run/wandb").glob("offline-run-*"))
