"""Several evaluations in one table."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.evaluation.comparison import compare, markdown, model_names, write_comparison


@pytest.fixture
def evaluation(tmp_path):
    """A function that writes the metrics.json of an evaluation with some d_cluster and returns its folder."""

    def make(name, value, failed=0.0, benchmark="alloy", reference="abc", mapping="auto", versions=None):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        content = {
            "benchmark": benchmark,
            "d_cluster": {"value": value, "low": None if value is None else value - 0.1, "high": value},
            "d_cluster_cosine": {"value": 0.5, "low": 0.4, "high": 0.6},
            "percent_failed": {"value": failed, "low": failed, "high": failed},
            "counts": {"original": 10},
            "provenance": {
                "reference": {"sha256": reference, "path": f"{reference}.extxyz"},
                "settings": {"benchmark": benchmark, "mapping": mapping},
                **({"versions": versions} if versions else {}),
            },
        }
        (folder / "metrics.json").write_text(json.dumps(content))
        return str(folder)

    return make


def test_runs_of_a_model_are_mean_and_range(evaluation, tmp_path):
    folders = [evaluation(f"cryingan_seed{seed}", value) for seed, value in enumerate((0.1, 0.2, 0.6))]
    folders += [evaluation("cdvae", 0.4567, failed=12.5), evaluation("diffcsp_seed1", None, failed=100)]
    comparison = compare(folders)
    assert list(comparison.runs) == ["cryingan", "cdvae", "diffcsp"]
    assert comparison.summary("cryingan", "d_cluster") == pytest.approx((0.3, 0.1, 0.6))
    lines = markdown(comparison).splitlines()
    assert lines[0] == "| model | runs | d_cluster | percent_failed |"
    assert lines[2] == "| cryingan | 3 | 0.3 (0.1, 0.6) | 0 (0, 0) |"
    assert lines[3] == "| cdvae | 1 | 0.457 | 12.5 |"
    assert lines[4] == "| diffcsp | 1 | undefined | 100 |"
    folder = write_comparison(comparison, tmp_path / "out/table")
    assert {path.name for path in folder.iterdir()} == {f"comparison.{end}" for end in ("md", "csv", "png", "pdf")}
    with (folder / "comparison.csv").open(newline="") as file:
        rows = {(row["model"], row["metric"]): row for row in csv.DictReader(file)}
    assert len(rows) == 3 * 3
    assert float(rows["cryingan", "d_cluster"]["max"]) == 0.6
    assert rows["cryingan", "d_cluster"]["low"] == ""
    assert float(rows["cdvae", "d_cluster"]["low"]) == pytest.approx(0.3567)
    assert rows["diffcsp", "d_cluster"]["defined"] == "0"
    assert np.isnan(float(rows["diffcsp", "d_cluster"]["mean"]))


def test_a_run_without_a_value_is_told(evaluation):
    comparison = compare([f"a:{evaluation('x', 0.2)}", f"a:{evaluation('y', None)}", f"b:{evaluation('z', 1.0)}"])
    assert "| a | 2 | 0.2 (0.2, 0.2) [1 of 2 runs] |" in markdown(comparison)
    assert "| b | 1 | 1 |" in markdown(comparison)


def test_the_table_says_what_its_numbers_are(evaluation):
    several, single = [evaluation(f"a_seed{seed}", 0.2) for seed in (1, 2)], evaluation("b", 0.3)
    assert "mean (min, max)" in markdown(compare([*several, single]))
    assert "interval over its structures is in comparison.csv" in markdown(compare([*several, single]))
    assert "a single run" not in markdown(compare(several))
    assert "intervals below their distance" not in markdown(compare([*several, single]))
    content = json.loads(Path(single, "metrics.json").read_text())
    content["d_cluster"]["high"] = 0.29
    Path(single, "metrics.json").write_text(json.dumps(content))
    assert "intervals below their distance are no mistake" in markdown(compare([*several, single]))


def test_species_that_the_reference_lacks_have_no_column(evaluation):
    folders = [evaluation(name, 0.2, benchmark="interface") for name in "ab"]
    for folder in map(Path, folders):
        content = json.loads((folder / "metrics.json").read_text())
        content |= {"d_Li": {"value": None}, "d_Co": {"value": None}}
        content["provenance"]["reference"]["composition"] = "Cl4Li4"
        (folder / "metrics.json").write_text(json.dumps(content))
    assert "| model | runs | d_cluster | percent_failed | d_Li |" in markdown(compare(folders))


def test_names_of_models(tmp_path):
    def names(*folders):
        return model_names([tmp_path / folder for folder in folders])

    assert names("a_seed1/evaluation", "a_seed2/evaluation", "b/evaluation") == ["a", "a", "b"]
    assert names("lambda0.05_avg_seed0", "lambda0.05_avg_seed1", "lambda0.0_avg_seed0") == [
        *["lambda0.05_avg"] * 2,
        "lambda0.0_avg",
    ]
    assert names("width_128", "width_256") == ["width_128", "width_256"]
    assert names("seed1", "seed2") == ["seed1", "seed2"]
    assert names("one") == ["one"]
    assert names("a/x", "a/x/y") == ["x", "y"] or len(set(names("a/x", "a/x/y"))) == 2


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"benchmark": "silicon"}, "benchmark"),
        ({"reference": "def"}, "reference"),
        ({"mapping": "diffcsp"}, "mapping"),
    ],
)
def test_what_cannot_be_compared_is_refused(evaluation, other, said):
    with pytest.raises(CryinGANError, match=said):
        compare([evaluation("a", 0.1), evaluation("b", 0.2, **other)])


def test_a_folder_counts_once_however_it_is_spelled(evaluation, tmp_path, monkeypatch):
    first, second = evaluation("a_seed1", 0.1), evaluation("a_seed2", 0.2)
    (tmp_path / "link").symlink_to(first)
    monkeypatch.chdir(tmp_path)
    for other in (f"{first}/", f"{second}/../a_seed1", "a_seed1", str(tmp_path / "link"), "x:./a_seed1"):
        with pytest.raises(CryinGANError, match="given twice"):
            compare([first, second, other])
    assert list(compare([first, "a_seed2"]).runs["a"]) == [first, "a_seed2"]


def test_other_versions_are_told(evaluation, caplog):
    same = [evaluation(name, 0.1, versions={"cryingan": "1.0", "numpy": "2.0"}) for name in ("a", "b")]
    compare(same)
    assert not caplog.records
    compare([*same, evaluation("c", 0.1, versions={"cryingan": "1.0", "numpy": "2.1"})])
    [record] = caplog.records
    assert "a was scored with numpy 2.0" in record.message
    assert "c with 2.1" in record.message


def test_broken_and_missing_folders_are_refused(evaluation, tmp_path):
    good = evaluation("a", 0.1)
    with pytest.raises(CryinGANError, match="given twice"):
        compare([good, f"other:{good}"])
    with pytest.raises(CryinGANError, match=r"no metrics\.json"):
        compare([good, str(tmp_path / "missing")])
    (tmp_path / "broken").mkdir()
    for text in ("", "{", "[]", '{"provenance": 3}'):
        (tmp_path / "broken/metrics.json").write_text(text)
        with pytest.raises(CryinGANError, match="cannot be read"):
            compare([good, str(tmp_path / "broken")])
