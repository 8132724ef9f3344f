"""The numbers of the table, against those of the CSV files."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import binomtest

from cryingan.report.differences import differing, settings_of
from cryingan.report.page import notes
from cryingan.report.reading import read_run
from cryingan.report.results import best_value, last_value
from cryingan.report.runs import find_runs
from cryingan.report.table import tables
from tests.support.run_folders import SAMPLES, config, write_run


@pytest.fixture
def sweep(reported):
    return reported[0]


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def cells(table, **where):
    """The cells of the row with these settings, by name and which value."""
    names = [f"{column.which} {column.name}".strip() for column in table.columns]
    found = [dict(zip(names, row, strict=True)) for row in table.rows]
    [row] = [row for row in found if all(row[name].text == text for name, text in where.items())]
    return row


def test_every_run_has_its_last_and_best_values(sweep):
    runs = [read_run(path) for path in find_runs(sweep)]
    table = tables(runs)[0]
    assert len(table.rows) == 6
    for run in runs:
        f1 = [row["samples/f1"] for row in rows_of(run.folder)]
        row = cells(table, folder=str(run.folder))
        assert row["last samples/f1"].sort == f1[-1]
        assert row["best samples/f1"].sort == max(f1)
        assert row["best samples/f1"].note == f"epoch {1 + f1.index(max(f1))}"
        pairs = [row["samples/close_pairs"] for row in rows_of(run.folder)]
        assert row["best samples/close_pairs"].sort == min(pairs)


def test_settings_have_mean_and_range_over_their_seeds(sweep):
    _, settings, models = tables([read_run(path) for path in find_runs(sweep)])
    pair = [rows_of(sweep / f"lambda0.05_seed{seed}")[-1]["relax/f1"] for seed in (1, 2)]
    row = cells(settings, **{"lambda": "0.05"})
    assert row["last relax/f1"].sort == pytest.approx(np.mean(pair), abs=1e-12)
    assert row["last relax/f1"].note == f"({min(pair):.3g}, {max(pair):.3g})"
    assert row["runs"].text == "2"
    assert cells(settings, **{"lambda": "0.1"})["last relax/f1"].text == "not relaxed"
    assert cells(settings, **{"lambda": "0.1"})["runs"].note == "1 not finished"
    every = [rows_of(path)[-1] for path in find_runs(sweep) if path.name != "linear"]
    row = cells(models, model="cryingan")
    assert row["last relax/f1"].note.endswith("[4 of 5 runs]")
    assert row["last samples/f1"].sort == pytest.approx(np.mean([one["samples/f1"] for one in every]), abs=1e-12)


def test_shares_of_samples_have_intervals(sweep):
    run = read_run(sweep / "lambda0.05_seed1")
    logged, share = last_value(run, "relax/fraction_below_0"), last_value(run, "relax/failed")
    assert (logged.low, logged.high) == (0.1, 0.8)
    expected = binomtest(1, SAMPLES).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(last_value(run, "samples/f1").low)
    assert best_value(run, "train/score_difference") is None


def test_the_table_in_csv_is_that_of_the_page(sweep):
    with (sweep / "report/table_setting.csv").open() as file:
        [row] = [row for row in csv.DictReader(file) if row["lambda"] == "0.0"]
    pair = [rows_of(sweep / f"lambda0.0_seed{seed}")[-1]["relax/f1"] for seed in (1, 2)]
    assert float(row["last relax/f1"]) == pytest.approx(np.mean(pair), abs=1e-12)


def test_what_differs_stands_first(sweep):
    runs = [read_run(path) for path in find_runs(sweep)]
    assert differing(runs) == ["model", "lambda", "seed"]
    assert [group.label for group in settings_of(runs)] == [
        "cryingan, lambda=0.0",
        "cryingan, lambda=0.05",
        "cryingan, lambda=0.1",
        "linear",
    ]


@pytest.fixture
def same_class(tmp_path):
    """Runs of CryinGAN by two options of the group `model`, as `model=paper` and the default are."""
    for name, batch, start in (("cryingan", 64, "linear"), ("paper", 32, "none")):
        settings = config(seed=1)
        settings["data"]["batch_size"] = batch
        settings["model"] |= {"warm_start": start, "channels": batch}
        write_run(tmp_path / name, settings, relaxed=False)
    return [tmp_path / "cryingan", tmp_path / "paper"]


def test_options_of_one_class_are_models_of_their_own(same_class):
    for path in same_class:
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**record, "model": path.name}))
    runs = [read_run(path) for path in same_class]
    assert differing(runs) == ["model"]
    assert [[row[0].text, row[1].text] for row in tables(runs)[2].rows] == [["cryingan", "1"], ["paper", "1"]]


def test_runs_that_did_not_write_their_option_are_told_apart_by_their_settings(same_class):
    runs = [read_run(path) for path in same_class]
    assert differing(runs) == ["model.warm_start"]
    assert [group.label for group in settings_of(runs)] == ["warm_start=linear", "warm_start=none"]
    [said] = [note for note in notes(runs) if note.startswith("set with")]
    assert said == "set with model.warm_start, and not told apart from it: model.channels, data.batch_size"


def test_a_key_that_was_set_by_another_is_left_out(tmp_path):
    wide = config(seed=1)
    wide["model"]["channels"] = 16
    wide["trainer"]["max_epochs"] = 8  # set with the width: no column of its own
    for name, settings in (("a", config(seed=1)), ("b", wide), ("c", config("linear", seed=1))):
        write_run(tmp_path / name, settings, relaxed=False)
    assert differing([read_run(path) for path in find_runs(tmp_path)]) == ["model", "model.channels"]
