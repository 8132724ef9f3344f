"""Sampling, relaxing and scoring in one command."""

import csv
import json

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.structures.files import write_structures
from sample import sample
from tests.conftest import random_crystals
from tests.support.sampling import compose

CELL, SPECIES = np.diag([7.0, 7.5, 8.0]), ("Li", "O", "Li", "Cl", "O", "O", "Li", "Cl")
RELAX = (
    "potential=pair",
    "relax=fire",
    "relax.backend=serial",
    "relax.fmax=0.2",
    "relax.progress=false",
    "pictures=0",
)


def test_the_number_of_samples_is_carried_through(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
    write_structures(random_crystals(4, SPECIES, CELL), tmp_path / "training.extxyz")
    some = random_crystals(6, SPECIES, CELL, seed=1)
    write_structures(some, tmp_path / "some.extxyz")
    lines = (tmp_path / "some.extxyz").read_text().splitlines()
    lines[2 * 10 + 4] = "Li nan 0 0"  # in the third structure
    (tmp_path / "some.extxyz").write_text("\n".join(lines) + "\n")
    common = [f"structures={tmp_path / 'some.extxyz'}", f"training={tmp_path / 'training.extxyz'}", *RELAX]
    scored = sample(compose(*common, f"output={tmp_path / 'out'}", "evaluate=interface", "evaluate.species=[Li]"))
    content = json.loads((scored / "evaluation_interface/metrics.json").read_text())
    with (scored / "energies.csv").open(newline="") as file:
        energies = {row["sample"]: row for row in csv.DictReader(file)}
    converged = {number for number, row in energies.items() if row["converged"] == "True"}
    assert 0 < len(converged) < 6
    assert content["counts"]["original"] == 6
    assert content["counts"]["accepted"] == len(converged)
    assert content["percent_failed"]["value"] == pytest.approx(100 * (1 - len(converged) / 6))
    assert content["d_Li"]["value"] > 0
    assert content["relaxation"]["steps"]["value"] > 0
    with (scored / "evaluation_interface/structures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["sample"] for row in rows} == {str(number) for number in range(6)}
    assert {row["sample"] for row in rows if row["accepted"] == "True"} == converged
    assert all(row["reason"] for row in rows if row["accepted"] == "False")
    assert f"{len(converged)} of 6 structures accepted" in capsys.readouterr().out
    sample(compose(*common, f"output={tmp_path / 'out'}", "evaluate=interface", "evaluate.species=[Li,O]"))
    again = json.loads((scored / "evaluation_interface/metrics.json").read_text())
    assert again["d_Li"] == content["d_Li"]
    assert "d_O" in again


def test_samples_of_a_checkpoint_are_scored_against_its_training_structures(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
    path = sample(compose(f"checkpoint={checkpoint}", "n=3", f"output={tmp_path / 'out'}", "evaluate=interface"))
    content = json.loads((path.parent / "evaluation_interface/metrics.json").read_text())
    assert content["counts"]["original"] == 3
    assert content["provenance"]["reference"]["structures"] == 24
    with (path.parent / "evaluation_interface/structures.csv").open(newline="") as file:
        assert [row["sample"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_what_cannot_be_scored_is_refused_before_sampling(tmp_path):
    some = f"structures={tmp_path / 'some.extxyz'}"
    with pytest.raises(CryinGANError, match="needs training=FILE"):
        sample(compose(some, *RELAX, "evaluate=silicon"))
    with pytest.raises(CryinGANError, match=r"none\.extxyz"):
        sample(compose(some, *RELAX, "evaluate=silicon", f"training={tmp_path / 'none.extxyz'}"))
    write_structures(random_crystals(2, SPECIES, CELL), tmp_path / "training.extxyz")
    with pytest.raises(CryinGANError, match="mapping=best"):
        sample(
            compose(some, *RELAX, "evaluate=alloy", "evaluate.mapping=best", f"training={tmp_path / 'training.extxyz'}")
        )


def test_samples_of_which_none_can_be_relaxed_are_all_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
    write_structures(random_crystals(4, SPECIES, CELL), tmp_path / "training.extxyz")
    write_structures(random_crystals(3, SPECIES, CELL, seed=1), tmp_path / "some.extxyz")
    text = "\n".join("Li nan 0 0" if line.startswith("Li") else line for line in (tmp_path / "some.extxyz").open())
    (tmp_path / "some.extxyz").write_text(text.replace("\n\n", "\n"))
    source = [f"structures={tmp_path / 'some.extxyz'}", f"training={tmp_path / 'training.extxyz'}"]
    folder = sample(compose(*source, *RELAX, f"output={tmp_path / 'out'}", "evaluate=interface"))
    assert not (folder / "relaxed.extxyz").read_text()
    content = json.loads((folder / "evaluation_interface/metrics.json").read_text())
    assert content["percent_failed"]["value"] == 100
    assert content["counts"] == {**content["counts"], "original": 3, "accepted": 0}


def test_a_benchmark_of_other_elements_is_refused_before_sampling(checkpoint, tmp_path):
    with pytest.raises(CryinGANError, match="benchmark=silicon is of Si"):
        sample(compose(f"checkpoint={checkpoint}", "n=3", f"output={tmp_path / 'out'}", "evaluate=silicon"))
    assert not (tmp_path / "out").exists()
