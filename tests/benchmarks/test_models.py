"""The table of several models' relaxed samples."""

import csv
import json
import sys

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks import models
from cryingan.metrics.region_reference import RegionReference
from cryingan.potentials.potential import load_potential
from cryingan.structures.files import read_structures, write_structures
from data.module import StructureData
from tests.support.shared_sites import interfaces


@pytest.fixture
def data(tmp_path):
    """A file of structures that share all sites but one."""
    write_structures(interfaces(60, seed=0), tmp_path / "data.extxyz")
    return tmp_path / "data.extxyz"


@pytest.fixture
def folders(data, tmp_path):
    """Two folders of relaxed samples, which are copies of training structures, and the reference."""
    training = StructureData(data).training
    for name, some in (("a", training[:12]), ("b", training[12:24])):
        (tmp_path / name).mkdir()
        write_structures(some, tmp_path / name / "samples.extxyz")
        share = 0.25 if name == "a" else 0.75
        values = {"relax/fraction_below_0": share, "relax/steps": 30.0}
        summary = {"values": values, "training": {"relax/fraction_below_0": 0.5}}
        (tmp_path / name / "relaxed.json").write_text(json.dumps(summary))
    return [tmp_path / name for name in "ab"], RegionReference.of(training)


def test_mean_and_range_of_seeds_beside_the_set(folders, data, tmp_path, monkeypatch, capsys):
    (one, other), reference = folders
    samples = read_structures(one / "samples.extxyz")
    output = tmp_path / "models.csv"
    monkeypatch.setattr(
        sys, "argv", ["models", f"copies={one},{other}", f"one={one}", f"--data={data}", f"--output={output}"]
    )
    models.main()
    raw, relaxed = capsys.readouterr().out.split("\n\n")
    for name, shown in (("copies", "0.5 (0.25 to 0.75)"), ("one", "0.25"), ("training set", "0.5")):
        assert f"| {name} |  |  | {shown} |" in relaxed
    assert f"{reference.of_training(12)['recall']:.3g}" in raw.splitlines()[-1]
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["copies", "copies", "one"]
    assert float(rows[0]["raw/precision"]) == pytest.approx(reference.compare(samples)["precision"])
    assert float(rows[0]["raw/nearest_training"]) == pytest.approx(0, abs=1e-4)
    assert np.isnan(float(rows[0]["relax/precision"]))


def test_folder_that_is_not_relaxed(folders, data, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["models", f"x={tmp_path}", f"--data={data}", f"--output={tmp_path}/t"])
    with pytest.raises(models.CryinGANError, match="no samples that were relaxed"):
        models.main()


def test_folders_that_cannot_be_compared(folders, data, tmp_path, monkeypatch, capsys):
    (one, other), _ = folders
    write_structures(interfaces(7, seed=1), other / "samples.extxyz")
    monkeypatch.setattr(sys, "argv", ["models", f"x={one},{other}", f"--data={data}", f"--output={tmp_path}/t"])
    with pytest.raises(models.CryinGANError, match="folders of 7 and 12 samples"):
        models.main()
    monkeypatch.setattr(sys, "argv", ["models", str(one), f"--data={data}"])
    with pytest.raises(SystemExit):
        models.main()
    assert "write NAME=FOLDER" in capsys.readouterr().err


def test_energies_by_another_potential(folders):
    (one, _), _ = folders
    judge = load_potential("pair")
    frames = read_structures(one / "samples.extxyz").to_ase()
    energies, forces = judge.evaluate(frames)
    shifts = 0.01 * np.arange(len(frames))  # eV/atom
    for frame, energy, shift in zip(frames, energies, shifts, strict=True):
        frame.calc = SinglePointCalculator(frame, energy=energy - shift * len(frame))
    ase.io.write(one / "relaxed.extxyz", frames)
    (one / "relaxed.json").write_text(json.dumps({"values": {}, "factor": 20.0}))
    values = models.judged(one, judge)
    assert values["judge/energy"] == pytest.approx(20 * shifts.mean())
    assert values["judge/deviation"] == pytest.approx(20 * shifts.std())
    squares = [np.linalg.norm(force, axis=1) ** 2 for force in forces]
    assert values["judge/force"] == pytest.approx(np.sqrt(np.mean(squares)))
