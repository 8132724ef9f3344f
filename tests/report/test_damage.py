"""Runs with files that are damaged, missing, or not comparable: the page is written, and says so."""

import json

import pytest
import yaml

from cryingan.report.page import page_content
from cryingan.report.reading import read_run
from cryingan.report.report import sections_of
from cryingan.report.runs import find_runs
from tests.support.run_folders import config, write_run

RELAXED = "relaxed/epoch_000004"
NAMES = ("metrics.csv", "config.yaml", "summary.json", "times.csv", "run.json")
NAMES += tuple(f"{RELAXED}/{name}" for name in ("energies.csv", "relaxed.extxyz", "reference_energies.csv"))


@pytest.fixture
def runs(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path / f"seed{seed}", config(seed=seed))
    return tmp_path


def content(folder):
    runs = [read_run(path) for path in find_runs(folder)]
    return page_content("runs", runs, sections_of(runs))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_file_the_rest_is_shown(runs, name):
    (runs / "seed1" / name).unlink()
    shown = content(runs)
    assert len(shown["runs"]) == len(shown["structures"]) == 2
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize("name", [*NAMES, f"{RELAXED}/samples.extxyz"])
@pytest.mark.parametrize("damage", [b"", b"\x00\xff{", b"1,2\n3,4\n5"])
def test_with_a_damaged_file_the_rest_is_shown(runs, name, damage):
    (runs / "seed1" / name).write_bytes(damage)
    shown = content(runs)
    assert len(shown["runs"]) == 2
    assert any(one["label"].endswith("seed=2") for one in shown["structures"])
    json.dumps(shown, allow_nan=False)


VALUES = [
    ("run.json", {"data_sha256": 5}),
    ("run.json", {"version": 1}),
    ("run.json", {"model": ["paper"]}),
    ("config.yaml", {"trainer": {"max_epochs": "many"}}),
    ("config.yaml", {"model": {"_target_": 3}}),
    ("config.yaml", {"callbacks": {"relax": {"n_samples": "6"}}}),
    ("summary.json", {"training set": [1]}),
    (f"{RELAXED}/relaxed.json", {"training": [1]}),
    (f"{RELAXED}/relaxed.json", {"random": "none"}),
    (f"{RELAXED}/relaxed.json", {"factor": [1]}),
    (f"{RELAXED}/relaxed.json", {"samples": "6"}),
    (f"{RELAXED}/relaxed.json", {"unit": None}),
    ("evaluation/metrics.json", {"counts": None}),
    ("evaluation/metrics.json", {"counts": {}}),
    ("evaluation/metrics.json", {"failures": ["overlap"]}),
    ("evaluation/metrics.json", {"d_all": {"value": "low", "low": 0, "high": 1}}),
    ("evaluation/metrics.json", {"provenance": {"settings": {}, "reference": 1}}),
]


@pytest.mark.parametrize(("name", "values"), VALUES)
def test_a_value_of_another_type_is_named_and_the_rest_is_shown(runs, name, values):
    for seed in (1, 2):
        evaluation(runs / f"seed{seed}/evaluation", d_all=0.5)
    path = runs / "seed1" / name
    path.write_text(json.dumps(yaml.safe_load(path.read_text()) | values))  # JSON is YAML, too
    shown = content(runs)
    [state] = [run["facts"]["state"] for run in shown["runs"] if run["facts"]["folder"].endswith("seed1")]
    assert state.startswith(f"cannot be read: {(runs / 'seed1' / name).parent}")
    assert any(one["label"].endswith("seed=2") for one in shown["structures"])
    json.dumps(shown, allow_nan=False)


def test_numbers_that_are_not_finite(tmp_path):
    for number, value in enumerate((1.0, float("inf"), float("nan"), 0.5)):
        settings = config(seed=1, weight=0.1)
        settings["model"]["gain"] = settings["lambda"] = value
        write_run(tmp_path / str(number), {**settings, "lambda": 0.1}, epochs=1)
    energies = tmp_path / "1/relaxed/epoch_000001/energies.csv"
    energies.write_text("sample,close_pairs,energy,unit,reason\n0,0,inf,eV/atom,converged\n1,0,0.5,eV/atom,converged\n")
    (tmp_path / "2/summary.json").write_text('{"training set": {"samples/f1": Infinity}}')
    shown = content(tmp_path)
    assert [row[0][:2] for row in shown["tables"][1]["rows"]] == [
        ["0.5", 0.5],
        ["1.0", 1.0],
        ["inf", None],
        ["nan", None],
    ]
    json.dumps(shown, allow_nan=False)


def evaluation(folder, reference="a" * 64, **values):
    """Write the part of an evaluation that is read."""
    scores = {name: {"value": value, "low": value - 0.1, "high": value + 0.1} for name, value in values.items()}
    provenance = {"settings": {"benchmark": "interface"}, "reference": {"path": "set.extxyz", "sha256": reference}}
    text = {"benchmark": "interface", **scores, "counts": {"accepted": 9}, "failures": {"overlap": 1}}
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({**text, "provenance": provenance}))


def test_scores_of_evaluations_in_run_folders(tmp_path):
    for weight, score in ((0.0, 0.5), (0.05, 0.25)):
        write_run(tmp_path / str(weight), config(weight=weight), relaxed=False)
        evaluation(tmp_path / f"{weight}/evaluation", d_all=score)
    shown = content(tmp_path)
    table = shown["tables"][0]
    place = next(i for i, column in enumerate(table["columns"]) if column["name"] == "d_all")
    assert [row[place] for row in table["rows"]] == [["0.5", 0.5, "0.4 to 0.6"], ["0.25", 0.25, "0.15 to 0.35"]]
    charts = {chart["name"]: chart for section in shown["sections"] for chart in section["charts"]}
    assert charts["lambda_d_all"]["traces"][-1]["y"] == [0.5, 0.25]
    assert shown["runs"][0]["facts"][f"evaluation {tmp_path}/0.0/evaluation"] == "9 structures accepted, 1 overlap"
    evaluation(tmp_path / "0.05/later", reference="b" * 64, d_all=0.1)
    assert any("evaluations cannot be compared" in note for note in content(tmp_path)["notes"])
