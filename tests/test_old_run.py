"""A run folder of version 0.1.0, written when the library was one flat folder, still loads, resumes and samples."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

import cryingan
from cryingan.samples.folder import read_summary
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.storage.fraction_keys import current_key
from train import train

OLD = Path(__file__).parent / "old_run"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the folder in which the run was started, as the working directory."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old/run"


def rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def same_command(config_of, run, *more):
    """The config that the old command composes today, from the settings that the run kept."""
    kept = yaml.safe_load((run / "config.yaml").read_text())
    model = [f"model.{key}={value}".replace(" ", "") for key, value in kept["model"].items() if value is not None]
    return config_of("data.path=structures.extxyz", "run_dir=run", *model, *more)


def test_it_loads_and_samples(old):
    model = cryingan.load_model(old)
    assert model.hparams.pooling == "avg"
    assert len(model.sample(3, seed=1)) == 3


def test_it_resumes(tiny, old):
    before = rows(old)
    train(same_command(tiny, old, "trainer.max_epochs=3"))
    after = rows(old)
    assert [row["epoch"] for row in after] == ["0", "1", "2"]
    for row, kept in zip(after, before, strict=False):
        assert {key: row[current_key(key)] for key in kept} == kept
    assert "relax/fraction_below_-0.2" not in after[0]
    assert read_checkpoint(old / "checkpoints/last.ckpt")["epoch"] == 2


def test_it_resumes_with_its_relaxed_samples(tiny, old):
    relaxed = old / "relaxed/epoch_000002"
    summary = read_summary(relaxed)
    written = json.loads((OLD / "run/relaxed/epoch_000002/summary.json").read_text())
    assert summary["values"] == {current_key(name): value for name, value in written.pop("values").items()}
    assert written == {name: value for name, value in summary.items() if name != "values"}
    more = ["callbacks=relax", "potential=pair", "callbacks.relax.every_n_epochs=2", "callbacks.relax.n_samples=2"]
    more += ["callbacks.best.key=relax/fraction_below_-0.2"]  # as it was written then
    more += ["callbacks.relax.mode=inline", "callbacks.relax.pictures=0", "relax.max_steps=30", "relax.backend=serial"]
    train(same_command(tiny, old, *more, "trainer.max_epochs=4"))
    assert read_summary(relaxed) == summary
    assert read_summary(old / "relaxed/epoch_000004")["samples"] == 2
    assert not list((old / "relaxed").glob("*.1"))
    assert rows(old)[1]["relax/failed"] == "0.0"
    assert read_summary(old / "relaxed/epoch_000004")["zero_ev_per_atom"] == summary["zero_ev_per_atom"]
    assert {"relax/fraction_below_0", "relax/fraction_below_minus_0_2"} <= set(rows(old)[3])
    assert rows(old)[1]["relax/fraction_below_minus_0_2"] == "0.0", "one column for the old and the new rows"


def test_it_refuses_other_settings(tiny, old):
    with pytest.raises(cryingan.CryinGANError, match="latent_dim is 5 here and 4 in the checkpoint"):
        train(same_command(tiny, old, "model.latent_dim=5"))
