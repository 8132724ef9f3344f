import csv
import json

import pytest

from cryingan.samples.background import BackgroundRelaxer
from cryingan.storage.fraction_keys import fraction_key
from tests.support.relaxed_runs import KEYS, RELAX, rows
from tests.support.wandb_files import inspect
from train import train

pytestmark = pytest.mark.usefixtures("copied_worker")


def test_wandb_gets_values_table_and_structures_under_their_epoch(tiny, tmp_path, monkeypatch):
    poll, wait = BackgroundRelaxer.poll, BackgroundRelaxer.wait

    def wait_at_last(self, stop):
        monkeypatch.setattr(BackgroundRelaxer, "poll", poll)
        return wait(self, stop)

    monkeypatch.setattr(BackgroundRelaxer, "poll", lambda self: [])  # every result comes when training is over
    monkeypatch.setattr(BackgroundRelaxer, "wait", wait_at_last)
    train(tiny(*RELAX, "logger=wandb", "callbacks.relax.n_samples=3", "callbacks.relax.pictures=1"))
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    records = [json.loads(line) for line in inspect(folder, "--json").splitlines()]
    media = {"relax/energies", "relax/samples", "relax/structures", "relax/molecules_before", "relax/molecules_after"}
    history = [record["history"]["item"] for record in records if "history" in record]
    for key in media:
        assert [item["epoch"] for item in history if {key, f"{key}._type"} & set(item)] == [1, 3], key
    expected = {(row["epoch"], key): row[key] for row in rows(tmp_path / "run") for key in set(row) & KEYS}
    logged = {(item["epoch"], key): item[key] for item in history for key in set(item) & KEYS}
    assert logged == pytest.approx(expected)
    assert {epoch for epoch, _ in logged} == {1, 3}
    summary = json.loads(inspect(folder, "--summary", "--json"))["summary"]
    for key in (*map(fraction_key, (0, -0.49)), "relax/distinct_minima"):
        values = [value for (_, name), value in sorted(logged.items()) if name == key]
        assert summary[key] == {"max": max(values), "last": values[-1]}
    axes = [record["metric"] for record in records if "metric" in record]
    assert any("epoch" in str(axis.get("step_metric")) and "*" in axis.values() for axis in axes), axes
    for done, path in zip((2, 4), sorted((folder / "files/media/table/relax").glob("*.json"), key=step), strict=True):
        table = json.loads(path.read_text())
        with (tmp_path / f"run/relaxed/epoch_00000{done}/energies.csv").open() as file:
            samples = list(csv.DictReader(file))
        assert table["columns"] == [*samples[0], "picture"]
        for row, sample in zip(table["data"], samples, strict=True):
            assert [str(value) for value in row[:2]] == [f"{float(sample[name])}" for name in table["columns"][:2]]
            assert row[table["columns"].index("energy")] == pytest.approx(float(sample["energy"]))
            assert row[-1] == "Image"


def step(path):
    return int(path.name.split("_")[1])
