"""Run folders as they are read."""

import json
import shutil

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.report.reading import read_run
from cryingan.report.runs import find_runs
from tests.support.paths import ROOT
from tests.support.run_folders import config, write_run


def test_all_that_a_folder_holds(tmp_path):
    values = write_run(tmp_path / "run", config(seed=7))
    run = read_run(tmp_path / "run")
    epochs, f1 = run.curves["samples/f1"]
    assert epochs.tolist() == [1, 2, 3, 4]
    assert f1.tolist() == values["samples/f1"].tolist()
    assert run.model == "cryingan"
    assert (run.state, run.relaxation) == ("finished", "")
    assert run.last_relaxed.epoch == 4
    assert run.training == {
        "samples/f1": 0.9,
        "samples/close_pairs": 0,
        "relax/fraction_below_0": 0.5,
        "relax/f1": 0.95,
    }
    assert run.random == {"samples/f1": 0.1, "relax/fraction_below_0": 0.0}
    assert [one.tolist() for one in run.times] == [[1, 2, 3, 4], [10, 20, 30, 40]]


def test_a_run_of_version_0_1_0(tmp_path):
    shutil.copytree(ROOT / "tests/old_run/run", tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert (run.model, run.state, run.relaxation) == ("cryingan", "finished", "")
    assert run.curves["relax/fraction_below_minus_0_2"][1].tolist() == [0.0]
    assert "train/score_difference" in run.curves
    assert run.record == {}


def test_how_runs_ended(tmp_path):
    write_run(tmp_path / "short", config(epochs=10), epochs=3, relaxed=False)
    write_run(tmp_path / "none", config(), epochs=0, relaxed=False)
    write_run(tmp_path / "failed", config(), epochs=2, relaxed=False)
    (tmp_path / "failed/run.json").write_text(json.dumps({"failed": "a loss is NaN"}))
    states = {path.name: read_run(path).state for path in find_runs(tmp_path)}
    assert states == {
        "short": "not finished: 3 of 10 epochs",
        "none": "no epoch is finished",
        "failed": "failed: a loss is NaN",
    }
    assert read_run(tmp_path / "short").relaxation == "not relaxed"


def test_relaxations_that_failed_or_have_not_ended(tmp_path):
    write_run(tmp_path / "run", config())
    folder = tmp_path / "run/relaxed/epoch_000004"
    (folder / "relaxed.json").unlink()
    assert read_run(tmp_path / "run").relaxation == "relaxation is not finished"
    (folder / "error.txt").write_text("the potential does not know Xe\ntraceback")
    assert read_run(tmp_path / "run").relaxation == "failed: the potential does not know Xe"


@pytest.mark.parametrize(
    "name", ["config.yaml", "summary.json", "relaxed/epoch_000004/relaxed.json", "relaxed/epoch_000004/energies.csv"]
)
def test_a_damaged_file_is_named_and_the_rest_is_read(tmp_path, name):
    write_run(tmp_path / "run", config())
    (tmp_path / "run" / name).write_text("{")
    run = read_run(tmp_path / "run")
    assert name.split("/")[0] in run.unread[0]
    assert "\n" not in run.unread[0]
    assert run.state.startswith("cannot be read: ")
    assert "samples/f1" in run.curves


def test_a_row_that_a_kill_cut_short_is_left_out(tmp_path):
    values = write_run(tmp_path / "run", config(), relaxed=False)
    path = tmp_path / "run/metrics.csv"
    path.write_text(path.read_text()[:-5])
    np.testing.assert_array_equal(read_run(tmp_path / "run").curves["samples/f1"][1], values["samples/f1"][:-1])


def test_runs_are_found_at_any_depth_and_nothing_inside_them(tmp_path):
    write_run(tmp_path / "b/deep/run", config(), relaxed=False)
    write_run(tmp_path / "a", config(), relaxed=False)
    write_run(tmp_path / "a/wandb/files", config(), relaxed=False)
    write_run(tmp_path / ".hidden/run", config(), relaxed=False)
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b/deep/run"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]


def test_folders_without_runs_are_refused(tmp_path):
    (tmp_path / "file").touch()
    for path, why in (
        (tmp_path, "no run is in it"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "x", "is not there"),
    ):
        with pytest.raises(CryinGANError, match=why):
            find_runs(path)
