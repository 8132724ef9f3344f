"""What the figures show, against the CSV files."""

import csv

import numpy as np
import pytest

from cryingan.plots.energies import energy_limits
from cryingan.report.charts import curve_charts, lambda_charts, over_runs, time_charts
from cryingan.report.energies import energy_charts, failures
from cryingan.report.reading import read_run
from cryingan.report.runs import find_runs
from tests.support.run_folders import SAMPLES, config, write_run


@pytest.fixture
def sweep(reported):
    return reported


@pytest.fixture
def runs(sweep):
    return [read_run(path) for path in find_runs(sweep[0])]


def column(path, name):
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def test_curves_have_mean_and_range_over_seeds(sweep, runs):
    charts = {chart.name: chart for chart in curve_charts(runs)}
    line = charts["samples_f1"].series["cryingan, lambda=0.05"]
    pair = np.array([column(sweep[0] / f"lambda0.05_seed{seed}/metrics.csv", "samples/f1") for seed in (1, 2)])
    np.testing.assert_allclose(line.value, pair.mean(axis=0))
    np.testing.assert_array_equal((line.low, line.high), (pair.min(axis=0), pair.max(axis=0)))
    assert line.x.tolist() == [1, 2, 3, 4]
    alone = charts["samples_f1"].series["cryingan, lambda=0.1"]
    assert alone.low is None
    assert charts["samples_f1"].references == {"training set": 0.9, "random structures": 0.1}
    assert charts["relax_fraction_below_0"].references == {"training set": 0.5, "random structures": 0.0}


def test_long_curves_are_averaged():
    epochs, values = np.arange(1, 1001), np.sin(np.arange(1000))
    line, width = over_runs([(epochs, values), (epochs[:500], values[:500])], most=100)
    assert width == 10
    np.testing.assert_allclose(line.value, values.reshape(100, 10).mean(axis=1))
    np.testing.assert_allclose(line.x, epochs.reshape(100, 10).mean(axis=1))


def test_runs_of_other_lengths_and_gaps_are_averaged_where_they_are():
    line, _ = over_runs([(np.array([1, 2, 3]), np.array([1.0, np.nan, 3.0])), (np.array([2, 4]), np.array([5.0, 7.0]))])
    assert line.x.tolist() == [1, 2, 3, 4]
    assert line.value.tolist() == [1, 5, 3, 7]


def test_values_against_lambda(sweep, runs):
    charts = {chart.name: chart for chart in lambda_charts(runs)}
    _, values = sweep
    line = charts["lambda_samples_close_pairs"].series["cryingan"]
    last = [[values[f"lambda{w}_seed{seed}"]["samples/close_pairs"][-1] for seed in (1, 2)] for w in (0.0, 0.05)]
    assert line.x.tolist() == [0, 0.05, 0.1]
    np.testing.assert_allclose(line.value, [*np.mean(last, axis=1), values["raw"]["samples/close_pairs"][-1]])
    assert charts["lambda_relax_f1"].series["cryingan"].x.tolist() == [0, 0.05]
    assert not list(lambda_charts([run for run in runs if run.settings["lambda"] == 0.05]))


def test_values_against_time(runs):
    charts = {chart.name: chart for chart in time_charts(runs)}
    line = charts["time_samples_f1"].series["cryingan, lambda=0.05"]
    np.testing.assert_allclose(line.x, np.array([10, 20, 30, 40]) / 60)


def test_a_seed_that_ended_early_does_not_make_its_setting_quick(tmp_path):
    for seed, epochs in ((1, 4), (2, 2)):
        write_run(tmp_path / str(seed), config(seed=seed), epochs=epochs, relaxed=False)
    charts = {chart.name: chart for chart in time_charts([read_run(path) for path in find_runs(tmp_path)])}
    np.testing.assert_allclose(charts["time_samples_f1"].series["cryingan"].x, np.array([10, 20, 30, 40]) / 60)


def test_epochs_without_a_time_are_left_out(tmp_path):
    write_run(tmp_path / "run", config(), relaxed=False)
    (tmp_path / "run/times.csv").write_text("epoch,seconds\n0,10\n1,20\n")
    charts = {chart.name: chart for chart in time_charts([read_run(tmp_path / "run")])}
    np.testing.assert_allclose(charts["time_samples_f1"].series["cryingan"].x, np.array([10, 20]) / 60)


def test_energies_are_shares_of_all_structures(sweep, runs):
    [chart] = energy_charts(runs)
    assert set(chart.series) == {
        "training set", "random structures", "cryingan, lambda=0.0", "cryingan, lambda=0.05", "linear",
    }  # fmt: skip
    folders = [sweep[0] / f"lambda0.05_seed{seed}/relaxed/epoch_000004/energies.csv" for seed in (1, 2)]
    energies = np.concatenate([column(folder, "energy") for folder in folders])
    line = chart.series["cryingan, lambda=0.05"]
    counted, _ = np.histogram(energies, line.x)
    np.testing.assert_allclose(line.value[:-1], counted / (2 * SAMPLES) * 100)
    assert f"{2 * SAMPLES} samples, 2 without energy" in chart.note
    training = np.array(chart.series["training set"].value)
    assert training.sum() == pytest.approx(100)
    low, high = energy_limits(
        np.array(column(folders[0].parent / "reference_energies.csv", "energy")[:20]), energies, ()
    )
    assert line.x[0] <= low + 0.2
    assert high - 0.2 <= line.x[-1] or energies.max() > line.x[-1]


def test_failures_by_reason(runs):
    assert failures(runs[1]) == {"converged": SAMPLES - 1, "not_repaired": 1}
    assert failures(next(run for run in runs if run.folder.name == "raw")) == {}


def test_every_chart_is_a_png_and_a_csv(sweep):
    folder, values = sweep
    names = {path.name for path in (folder / "report").iterdir()}
    assert {"samples_f1.png", "samples_f1.csv", "energies.png", "lambda_relax_f1.csv", "time_samples_f1.png"} <= names
    with (folder / "report/samples_f1.csv").open() as file:
        rows = list(csv.DictReader(file))
    of_raw = [float(row["value"]) for row in rows if row["series"] == "cryingan, lambda=0.1"]
    assert of_raw == values["raw"]["samples/f1"].tolist()
    assert {"series": "training set", "x": "", "value": "0.9", "low": "", "high": ""} in rows
