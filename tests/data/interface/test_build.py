"""Building a set: what is written, adding to it, and resuming after an interruption."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from cryingan.energies.data_card import read_data_card
from cryingan.energies.scale import energy_scale
from cryingan.errors import CryinGANError
from cryingan.relaxation.trajectory import read_trajectories
from cryingan.structures.files import read_structures
from data.interface import build, parts
from data.interface.settings import INTERFACE_SETS
from data.module import StructureData
from tests.support.interfaces import POTENTIAL, QUICK, RELAX, build_settings, energy_rows


def test_a_set_from_two_cif_files(system):
    folder = build.build(build_settings(system, 6))
    stem = folder / "pair.extxyz.gz"
    crystals, table = read_structures(stem), energy_rows(folder)
    assert crystals.counts == {"Li": 18, "O": 5, "Cl": 8}
    assert [int(row["number"]) for row in table] == list(range(6))
    kept = [row for row in table if row["kept"] == "True"]
    energies = np.array([float(row["energy_per_atom"]) for row in table])
    assert len(crystals) == len(kept) == 3
    assert max(float(row["energy_per_atom"]) for row in kept) == np.sort(energies)[2]

    potential = build.load_potential(**POTENTIAL)
    found = potential.evaluate(crystals.to_ase())[0] / len(crystals.species)
    np.testing.assert_allclose(found, [float(row["energy_per_atom"]) for row in kept], atol=1e-4)
    card = read_data_card(stem)
    assert (card.kind, card.name) == ("interface", "my pair")
    assert card.cutoff(potential.card).energy_per_atom == pytest.approx(np.sort(energies)[2], abs=2e-8)
    assert card.made["tried"] == 6
    scale = energy_scale(card, crystals, potential, folder / "never")
    above = scale.normalise(energies, potential.card).values
    np.testing.assert_allclose(above, [float(row["interface_energy"]) for row in table], atol=1e-5)
    assert (above <= 1e-6).sum() == 3
    assert len(StructureData(str(stem)).training) == 2
    frames = dict(read_trajectories(parts.part_folders(folder / "work")[0]))
    assert sorted(frames) == list(range(6))
    text = (folder / "README.md").read_text()
    assert "Li2O (100)" in text
    assert potential.card.hash in text
    assert "system=pair.yaml n=6" in text
    for name in ("distribution.png", "structures.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_larger_set_is_not_replaced(system, tmp_path):
    build.build(build_settings(system, 3))
    held = (tmp_path / "set/pair.extxyz.gz").read_bytes()
    build.build(build_settings(system, 2))
    assert (tmp_path / "set/pair.extxyz.gz").read_bytes() == held, "what is relaxed is not lost"
    shutil.rmtree(tmp_path / "set/work")
    with pytest.raises(CryinGANError, match=r"n=2: .* is a set of 3, .*folder="):
        build.build(build_settings(system, 2))
    assert (tmp_path / "set/pair.extxyz.gz").read_bytes() == held


def test_more_structures_are_added_to_what_is_there(system, tmp_path):
    build.build(build_settings(system, 3))
    first = energy_rows(tmp_path / "set")
    build.build(build_settings(system, 5))
    both = energy_rows(tmp_path / "set")
    columns = ("energy_per_atom", "energy_per_atom_initial", "steps", "fmax")
    assert [[row[name] for name in columns] for row in both[:3]] == [[row[name] for name in columns] for row in first]
    assert len(both) == 5
    build.build(build_settings(system, 5, folder=str(tmp_path / "at_once")))
    for name in ("pair.extxyz.gz", "energies.csv", "distribution.png", "structures.png", "README.md"):
        assert (tmp_path / "at_once" / name).read_bytes() == (tmp_path / "set" / name).read_bytes()
    build.build(build_settings(system, 2))  # fewer: nothing is lost
    assert energy_rows(tmp_path / "set") == both


@pytest.mark.usefixtures("no_figures")
def test_interrupted_build_resumes(system, tmp_path, monkeypatch):
    done, append = [], build.relax_structures.__globals__["relax_marked"].__globals__["Journal"].append

    def append_and_die(journal, one):
        append(journal, one)
        done.append(one.sample)
        if len(done) == 2:
            raise KeyboardInterrupt

    journal = build.relax_structures.__globals__["relax_marked"].__globals__["Journal"]
    monkeypatch.setattr(journal, "append", append_and_die)
    with pytest.raises(KeyboardInterrupt):
        build.build(build_settings(system, 4))
    build.build(build_settings(system, 4, collect=True))  # what is there so far
    assert len(energy_rows(tmp_path / "set")) == 2
    build.build(build_settings(system, 4))
    assert len(done) == len(set(done)) == 4
    monkeypatch.undo()
    build.build(build_settings(system, 4, folder=str(tmp_path / "whole")))
    assert (tmp_path / "whole" / "energies.csv").read_bytes() == (tmp_path / "set" / "energies.csv").read_bytes()


@pytest.mark.usefixtures("no_figures")
def test_what_fails_is_in_the_log_and_not_in_the_set(system, tmp_path):
    build.build(build_settings(system, 4, relax={**RELAX, "max_steps": 60}))
    table = energy_rows(tmp_path / "set")
    reasons = {row["reason"] for row in table}
    assert reasons == {"converged", "max_steps"}
    for row in table:
        assert (row["reason"] == "converged") == (row["energy_per_atom"] != "")
        assert row["kept"] == "False" or row["reason"] == "converged"


def test_nothing_relaxed_is_said(system):
    with pytest.raises(CryinGANError, match="0 structures are relaxed"):
        build.build(build_settings(system, 2, relax={**RELAX, "max_steps": 1}))


def test_too_few_steps_are_said(system):
    with pytest.raises(CryinGANError, match=r"0 structures are relaxed \(2 max_steps\), too few for a data set"):
        build.build(build_settings(system, 2, relax={**RELAX, "max_steps": 1}))
    with pytest.raises(CryinGANError, match=r"other settings \(max_steps is 1, here 300\): give an empty folder"):
        build.build(build_settings(system, 2))


@pytest.mark.parametrize("which", ["potential", "first"])
def test_potential_that_does_not_know_an_element_is_refused_before_anything_is_computed(system, which):
    small = build_settings(system, 2, **{which: {"kind": "pair", "radii": {"Li": 0.8, "O": 1.1}}})
    with pytest.raises(CryinGANError, match="does not know Cl"):
        build.build(small)
    assert not small.work_folder.exists()


def test_command_ends_in_one_line():
    command = [sys.executable, "-m", "data.interface.build", "system=nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=INTERFACE_SETS.parents[1])
    assert result.returncode == 1
    said = "data.interface.build: system=nowhere is neither one of li2o_licl, li2o_licl_low, lsc_lco nor a YAML file"
    assert result.stderr.strip().split("\n") == [said]


@pytest.mark.usefixtures("no_figures")
def test_a_region_that_is_too_full_can_be_corrected(system):
    text = system.read_text()
    system.write_text(text.replace("Cl-Cl: 2.5", "Cl-Cl: 9.5"))
    with pytest.raises(CryinGANError, match="do not fit between the slabs"):
        build.build(build_settings(system, 2))
    system.write_text(text)
    assert len(energy_rows(build.build(build_settings(system, 2)))) == 2


@pytest.mark.usefixtures("no_figures")
def test_command_and_convergence_stand_in_the_card(system):
    folder = build.build(build_settings(system, 2, seed=3))
    text = (folder / "README.md").read_text()
    command = "build system=pair.yaml n=2 potential.kind=pair seed=3 relax.fmax=0.5 relax.max_steps=300"
    assert command in text
    assert "until no force is above 0.5 eV/Å (FIRE, at most 300 steps)" in " ".join(text.split())
    assert read_data_card(folder / "pair.extxyz.gz").made["relaxation"] == {
        "optimizer": "fire",
        "fmax": 0.5,
        "max_steps": 300,
    }


def test_collecting_where_nothing_was_built(system):
    with pytest.raises(CryinGANError, match="holds no build"):
        build.build(build_settings(system, 2, collect=True))


@pytest.mark.usefixtures("no_figures")
def test_fixed_layers_stay(system, tmp_path):
    folder = build.build(build_settings(system, 3, relax={**RELAX, "fixed": "below:9.0"}))
    crystals = read_structures(folder / "pair.extxyz.gz")
    fixed = crystals.fixed[0].all(axis=1)
    assert 0 < fixed.sum() < len(fixed) / 2
    assert (crystals.fixed == fixed[:, None]).all()
    assert crystals.fractional[:, fixed].std(axis=0).max() < 1e-6
    made = read_data_card(folder / "pair.extxyz.gz").made
    assert (made["relaxation"]["fixed"], made["fixed_atoms"]) == ("below:9.0", fixed.sum())
    assert "which are fixed (relax.fixed=below:9.0)" in " ".join((folder / "README.md").read_text().split())
    with pytest.raises(CryinGANError, match=r"fixed is below:9.0, here None"):
        build.build(build_settings(system, 4))


def test_the_random_region_is_not_fixed(system):
    for rule in ("below:20", ["Li"]):
        with pytest.raises(CryinGANError, match="fixes atoms of the disordered region, which have to relax"):
            build.build(build_settings(system, 2, relax={**RELAX, "fixed": rule}))


@pytest.mark.usefixtures("no_figures")
def test_fixed_layers_stay_with_two_potentials(system):
    folder = build.build(build_settings(system, 2, first=QUICK, relax={**RELAX, "fixed": "below:9.0"}))
    crystals = read_structures(folder / "pair.extxyz.gz")
    assert crystals.fractional[:, crystals.fixed[0].all(axis=1)].std(axis=0).max() < 1e-6
