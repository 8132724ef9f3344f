"""The folder of an evaluation."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.evaluation import report
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics.bootstrap import Interval
from tests.support.evaluation import QUIET, alloy, numbers, saved, table


def test_the_folder_of_an_alloy(tmp_path):
    structures, reference = alloy(5, 1) + alloy(3, 2, vacancies=2), alloy(6, 3)
    structures[1].info["sample"] = 41
    paths = saved(structures, tmp_path / "generated.extxyz"), saved(reference, tmp_path / "reference.extxyz")
    result = evaluate(*paths, "alloy", output=tmp_path / "out", original=16, **QUIET)
    content = json.loads((tmp_path / "out/metrics.json").read_text())
    assert content["counts"] == {"original": 16, "read": 8, "accepted": 8, "failed": 8}
    assert content["failures"] == {"not in the file": 8}
    assert content["percent_failed"]["value"] == 50
    assert content["percent_with_vacancies"]["value"] == pytest.approx(37.5)
    assert set(content["provenance"]["versions"]) == {"cryingan", "pymatgen", "numpy", "scipy"}
    assert content["provenance"]["settings"]["mapping"] == "auto"
    rows = table(tmp_path / "out/structures.csv")
    assert [row["sample"] for row in rows] == ["", "41", *[""] * 6]
    assert [row["vacancies"] for row in rows] == ["0"] * 5 + ["2"] * 3
    assert {"formation_energy", "sro_1_Cr-Fe", "sro_2_Ni-Ni"} <= rows[0].keys()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cluster_prob.csv", "cluster_sro.csv", "sro.png", "sro.pdf", "energies.png"} <= names
    evaluate(paths[1], paths[1], "alloy", output=tmp_path / "self", **QUIET)
    probabilities = [numbers(tmp_path / name / "cluster_prob.csv") for name in ("out", "self")]
    expected = np.linalg.norm(probabilities[0].mean(axis=0) - probabilities[1].mean(axis=0))
    assert content["d_cluster"]["value"] == pytest.approx(expected, rel=1e-12)
    assert result.values["d_cluster"].value == content["d_cluster"]["value"]
    assert content["d_cluster"]["low"] < content["d_cluster"]["high"]


def test_the_histogram_of_the_formation_energies_of_an_alloy():
    structures, reference = [*alloy(40, 1), *alloy(5, 3, vacancies=4)], alloy(30, 2)
    result = evaluate(structures, reference, "alloy", **QUIET)
    energies = np.array([row["formation_energy"] for row in result.rows])
    expected = np.array([row["formation_energy"] for row in evaluate(reference, reference, "alloy", **QUIET).rows])
    values = (energies - expected.mean()) * 1000
    low, high, shares = map(np.array, result.scores.tables["energy_histogram.csv"].values())
    np.testing.assert_allclose(low[1:], np.arange(41) * 0.5 - 5, atol=1e-12)
    np.testing.assert_array_equal(high[:-1], low[1:])
    assert shares[0] > 0
    assert shares[-1] > 0
    inside = (values[:, None] > low) & (values[:, None] <= high)
    np.testing.assert_allclose(shares, 100 * inside.mean(axis=0))


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, undrawn):
    structures = alloy(2)
    evaluate(structures, alloy(3, 1), "alloy", output=tmp_path / "out", **QUIET)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(table, path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_table", full)
    with pytest.raises(CryinGANError, match="No space left"):
        evaluate(structures, alloy(3, 1), "alloy", output=tmp_path / "out", original=9, **QUIET)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("values", "explained"),
    [
        ({"d_all": Interval(0.5, 0.1, 0.4, 6)}, True),
        ({"d_a": Interval(0.5, 0.1, 0.4, 6), "d_b": Interval(0.5, -0.1, 0.4, 6)}, True),
        ({"d_all": Interval(0.5, 0.4, 0.6, 6)}, False),
        ({"d_all": Interval(1e-3, 1e-3, 1e-3 - 1e-18, 6)}, False),
        ({"d_all": Interval(np.nan, np.nan, np.nan, 0, "none")}, False),
    ],
)
def test_distances_above_their_intervals_are_explained_once(values, explained):
    result = replace(evaluate(alloy(2), alloy(3, 1), "alloy", **QUIET), values=values)
    lines = list(report.summary_lines(result))
    assert lines.count(report.ABOVE) == explained
    assert (lines[-1] == report.ABOVE) is explained
