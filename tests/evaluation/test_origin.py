"""Where structures come from, according to the files beside them."""

import json

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.evaluation.evaluate import evaluate
from cryingan.evaluation.report import summary_lines
from tests.support.evaluation import QUIET, alloy, numbers, saved, silicon, table


def test_relaxed_samples_bring_their_number_reasons_and_energies(tmp_path, undrawn):
    structures = silicon(3, 0.1)
    for sample, converged in zip((0, 2, 3), (True, False, True), strict=True):
        info = {"sample": sample, "converged": converged, "reason": "converged" if converged else "max_steps"}
        structures[[0, 2, 3].index(sample)].info.update(info)
    saved(structures, tmp_path / "relaxed.extxyz")
    (tmp_path / "energies.csv").write_text(
        "sample,close_pairs,energy_per_atom_initial,energy_per_atom,energy,unit,steps,fmax,converged,reason,potential\n"
        "0,0,-4.0,-4.5,0.010,eV/atom,10,0.01,True,converged,p\n"
        "1,9,,,,,,,False,not_repaired,\n"
        "2,0,-4.0,-4.2,,eV/atom,1000,1.0,False,max_steps,p\n"
        "3,0,-4.1,-4.4,0.250,eV/atom,30,0.01,True,converged,p\n"
    )
    summary = {"values": {"relax/fraction_below_0": 0.25, "relax/steps": 3}, "zero_ev_per_atom": -4.51}
    (tmp_path / "relaxed.json").write_text(json.dumps(summary))
    result = evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", output=tmp_path / "out", **QUIET)
    assert result.counts == {"original": 4, "read": 3, "accepted": 2, "failed": 2}
    assert result.failures == {"not relaxed: max_steps": 1, "not repaired": 1}
    with pytest.raises(CryinGANError, match="original=3: at least 4"):
        evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", original=3, **QUIET)
    rows = table(tmp_path / "out/structures.csv")
    assert [row["sample"] for row in rows] == ["0", "2", "3", "1"]
    assert rows[2]["energy"] == "0.25"
    content = json.loads((tmp_path / "out/metrics.json").read_text())["relaxation"]
    assert content["steps"]["value"] == 20
    assert content["steps"]["deviation"] == 10
    assert content["energy_drop_meV_per_atom"]["value"] == pytest.approx(400)
    assert content["fraction_below_0"] == 0.25
    assert content["percent_above_histogram"] == 50  # 250 meV/atom is beyond 100
    histogram = numbers(tmp_path / "out/energy_histogram.csv")
    assert histogram[:, 2].sum() == pytest.approx(100)
    assert histogram[-1, 2] == 50
    for zero in ({"zero_ev_per_atom": 0.0}, {}):  # of absolute energies all would lie far below
        (tmp_path / "relaxed.json").write_text(json.dumps({"values": {}} | zero))
        absolute = evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", **QUIET)
        assert "training=FILE" in absolute.relaxation["no_histogram"]
        assert "percent_below_histogram" not in absolute.relaxation
        assert "energy_histogram.csv" not in absolute.scores.tables
        assert absolute.relaxation["steps"]["value"] == 20


def test_sample_numbers_of_other_programs_are_none_of_ours(tmp_path, undrawn):
    structures = alloy(4)
    for atoms, sample in zip(structures, ("a1", 1.5, np.array([1, 2, 3]), 2), strict=True):
        atoms.info["sample"] = sample
    path = saved(structures, tmp_path / "others.extxyz")
    result = evaluate(path, alloy(2, 1), "alloy", output=tmp_path / "out", **QUIET)
    assert [row["sample"] for row in result.rows] == ["", "", "", 2]
    assert result.counts["accepted"] == 4


def test_one_sample_cannot_be_two_structures(tmp_path):
    structures = alloy(3)
    for atoms, sample in zip(structures, (7, 2, 7), strict=True):
        atoms.info["sample"] = sample
    for source in (structures, saved(structures, tmp_path / "twice.extxyz")):
        with pytest.raises(CryinGANError, match="structures 1 and 3 both have sample=7"):
            evaluate(source, alloy(2, 1), "alloy", **QUIET)


def test_candidates_that_a_model_refused_stand_beside_the_failures(tmp_path):
    """Five structures, one of them kept although refused, and six other refusals: of eleven candidates seven."""
    saved(alloy(5), tmp_path / "samples.extxyz")
    manifest = {"structures": "samples.extxyz", "n": 5, "rejected": {"candidates": 7, "kept": 1}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    result = evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", output=tmp_path / "out", **QUIET)
    counts = json.loads((tmp_path / "out/metrics.json").read_text())["counts"]
    assert (counts["refused"], counts["drawn"], counts["failed"]) == (7, 11, 0)
    assert "  7 of 11 candidates refused by the model, 63.6 %: atoms of another element" in "\n".join(
        summary_lines(result)
    )
    for broken in ({"candidates": 7}, [7], {"candidates": "x", "kept": 0}):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"rejected": broken}))
        with pytest.raises(CryinGANError, match=r"manifest\.json cannot be read"):
            evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", **QUIET)


def test_samples_know_how_many_were_generated(tmp_path):
    saved(alloy(3), tmp_path / "samples.extxyz")
    (tmp_path / "manifest.json").write_text(json.dumps({"structures": "samples.extxyz", "n": 5}))
    result = evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", **QUIET)
    assert result.counts["original"] == 5
    assert [row["sample"] for row in result.rows] == [0, 1, 2]
    with pytest.raises(CryinGANError, match="original=4: at least 5"):
        evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", original=4, **QUIET)
    more = evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", original=9, **QUIET)
    assert more.failures == {"not in the file": 6}
    saved(alloy(3), tmp_path / "others.extxyz")
    assert evaluate(tmp_path / "others.extxyz", alloy(2, 1), "alloy", **QUIET).counts["original"] == 3
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CryinGANError, match=r"manifest\.json"):
        evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", **QUIET)
