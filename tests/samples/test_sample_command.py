"""`relax=true` of sample.py, and what is wrong with relaxation keys."""

import csv
import json

import numpy as np
import pytest
from ase.io import read

from cryingan.relaxation.fixed import with_fixed
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures, write_structures
from tests.conftest import random_crystals
from tests.support.command import call
from tests.support.relaxed_samples import CELL, SPECIES


def test_structures_of_any_origin_from_the_command_line(tmp_path, training):
    """One has coincident atoms, one an atom that is nowhere, one is cut short in a line."""
    samples = random_crystals(5, SPECIES, CELL, seed=1)
    samples.fractional[0, 1] = samples.fractional[0, 0]
    samples.fractional[1, 3] = np.nan
    write_structures(samples, tmp_path / "others.extxyz")
    lines = (tmp_path / "others.extxyz").read_text().splitlines()
    lines[3 * (len(SPECIES) + 2) + 4] = "Li 0.0 0.0"
    (tmp_path / "others.extxyz").write_text("\n".join(lines))
    arguments = [f"structures={tmp_path / 'others.extxyz'}", "relax=true", "potential=pair", "relax.fmax=0.1"]
    arguments += [f"output={tmp_path / 'out'}", "relax.backend=serial", "pictures=2"]
    result = call("sample.py", *arguments, f"training={training['path']}")
    assert result.returncode == 0, result.stderr
    assert "5 samples: " in result.stdout
    assert "40.0% failed" in result.stdout
    assert "frame 2 has positions that are not finite; it counts as failed" in result.stdout
    assert "frame 4, atom 3 (line 35): too few columns in 'Li 0.0 0.0'; it counts as failed" in result.stdout
    summary = json.loads((tmp_path / "out/relaxed.json").read_text())
    assert summary["unit"] == "J/m^2"
    assert Crystals.from_ase(read(tmp_path / "out/samples.extxyz", ":")).species == SPECIES
    assert [atoms.info["sample"] for atoms in read(tmp_path / "out/relaxed.extxyz", ":")] == [0, 2, 4]
    with (tmp_path / "out/energies.csv").open() as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == ["converged", "not_finite", "converged", "not_finite", "converged"]


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("sample.py", ["structures=no/such.extxyz", "relax=false"], "add relax=true"),
        ("sample.py", ["structures=no/such.extxyz", "relax=cg", "potential=null"], "potential=m3gnet"),
        ("sample.py", ["relax=true", "potential=pair", "relax.fmx=1"], "Did you mean relax.fmax?"),
        ("train.py", ["callbacks=relax", "potential=pair", "potential.depth=deep"], "potential.depth: Value 'deep'"),
        ("train.py", ["relax.processes=many"], "'many'"),
    ],
)
def test_a_mistake_ends_in_one_line(script, arguments, said):
    result = call(script, *arguments)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr


def test_help_shows_the_keys_of_the_groups_that_are_named():
    said = call("train.py", "callbacks=relax", "potential=m3gnet", "--help").stdout
    keys = {word.partition("=")[0] for word in said.split()}
    assert {"callbacks.relax.n_samples", "callbacks.relax.thresholds", "potential.path", "relax.fmax"} <= keys
    assert "n_samples" not in call("train.py", "--help").stdout


def test_fixed_atoms_of_a_file_and_of_a_rule_stay(tmp_path):
    start = Crystals.from_ase(random_crystals(2, SPECIES, CELL, seed=1).to_ase())
    start = with_fixed(start, [1])
    write_structures(start, tmp_path / "slab.extxyz")
    arguments = [f"structures={tmp_path / 'slab.extxyz'}", "relax=true", "potential=pair", "relax.backend=serial"]
    result = call("sample.py", *arguments, "relax.fixed=[0]", f"output={tmp_path / 'out'}", "pictures=0")
    assert result.returncode == 0, result.stderr
    assert "relaxing with 2 of" in result.stdout
    relaxed = read_structures(tmp_path / "out/relaxed.extxyz")
    assert (relaxed.fixed.all(axis=2).nonzero()[1] == [0, 1, 0, 1]).all()
    step = relaxed.fractional - start.fractional
    assert np.abs((step - np.round(step)) @ CELL)[:, :2].max() < 2e-8
    result = call("sample.py", *arguments, "relax.fixed=[Na]", f"output={tmp_path / 'other'}")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "no atom is Na" in result.stderr


@pytest.mark.parametrize("form", ["poscar", "cif"])
def test_relaxed_structures_are_written_in_the_format_too(tmp_path, form):
    start = Crystals.from_ase(random_crystals(3, SPECIES, CELL, seed=1).to_ase())
    start.fractional[1, 3] = np.nan
    write_structures(with_fixed(start, [1]), tmp_path / "slab.extxyz")
    arguments = [f"structures={tmp_path / 'slab.extxyz'}", "relax=true", "potential=pair", "relax.backend=serial"]
    result = call("sample.py", *arguments, f"output={tmp_path / 'out'}", "pictures=0", f"format={form}")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / f"out/relaxed_{form}"
    assert str(folder) in result.stdout
    assert sorted(path.stem for path in folder.iterdir()) == ["0001", "0003"]
    relaxed, again = read_structures(tmp_path / "out/relaxed.extxyz"), read_structures(folder)
    step = relaxed.fractional - again.fractional
    assert np.abs(step - np.round(step)).max() < 1e-7
    assert (again.fixed is not None) == (form == "poscar")
    assert len(read_structures(folder)) == 2
