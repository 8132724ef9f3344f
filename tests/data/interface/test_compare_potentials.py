"""A trained potential compared with that of the build."""

import json
import shutil

import ase.io
import numpy as np
import pytest

from cryingan.energies.data_card import read_data_card
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.interface import compare_potentials, train_potential
from data.interface.potential_training.comparison import relaxations, shifted
from tests.support.interfaces import POTENTIAL, SERIAL
from tests.support.potential_training import system_of, train_settings

pytestmark = pytest.mark.usefixtures("barely_trained", "no_figures")


def test_comparison_with_the_potential_of_the_build(built, tmp_path, monkeypatch):
    shutil.copytree(built.parents[1], tmp_path / "copy")
    built = tmp_path / "copy" / "set" / "work"
    monkeypatch.setattr(compare_potentials, "INTERFACE_SETS", tmp_path)
    folder = train_potential.train(train_settings(built, tmp_path, test=0.4, epochs=1))
    held_out = json.loads((folder / "metrics.json").read_bytes())["held_out"]
    made = compare_potentials.CompareSettings(
        system=system_of(built),
        relaxations=str(built),
        potential={"kind": "m3gnet", "path": str(folder)},
        relax=dict(SERIAL),
    )
    assert compare_potentials.compare(made) == folder
    found = json.loads((folder / "comparison.json").read_bytes())
    assert sorted(map(str, found["numbers"])) == held_out
    assert found["reference_hash"] == load_potential(**POTENTIAL).card.hash
    card = read_data_card(built.parent / "pair.extxyz.gz")
    assert found["cutoff"] == card.cutoff(load_potential(**POTENTIAL).card).energy_per_atom
    assert 0 <= found["agreement"] <= 1
    assert "Random structures relaxed with both" in (folder / "README.md").read_text()
    assert (folder / "comparison.png").is_file()
    assert found["speed"] is found["same_places"] is found["moved"] is None
    again = compare_potentials.compare(made)  # resumes from what is there: nothing is relaxed twice
    assert json.loads((again / "comparison.json").read_bytes()) == found
    made.reference, made.shift = dict(POTENTIAL), 0.02
    compare_potentials.compare(made)
    with_reference = json.loads((folder / "comparison.json").read_bytes())
    text = (folder / "README.md").read_text()
    train_potential.train(train_settings(built, tmp_path, test=0.4, epochs=1))  # has ended: the same weights again
    assert json.loads((folder / "comparison.json").read_bytes()) == with_reference
    assert (folder / "README.md").read_text() == text
    assert (folder / "comparison.png").is_file()
    assert {**with_reference, "speed": None, "same_places": None, "moved": None} == found
    [work] = built.glob("comparison_*")
    ended = [atoms for atoms in ase.io.read(work / "relaxed.extxyz", ":") if atoms.info["reason"] == "converged"]
    theirs = load_potential(**POTENTIAL).evaluate(ended)[0]
    apart = np.abs(theirs - [atoms.get_potential_energy() for atoms in ended]).mean() / len(ended[0])
    assert with_reference["same_places"]["mae"] == pytest.approx(apart, rel=1e-5)
    poor = with_reference["same_places"]["mae"] > with_reference["spread"]
    assert ("It cannot judge relaxed structures yet" in text) == poor
    moved = with_reference["moved"]
    assert (moved["shift"], moved["structures"]) == (0.02, found["structures"])
    starts = relaxations(system_of(built), built, set(held_out), 50).starts
    before = starts.fractional.copy()
    steps = shifted(starts, 0.02).fractional - before
    assert np.std(steps @ starts.cell) == pytest.approx(0.02, rel=0.2)
    assert "against itself, from starts moved by 0.02" in (folder / "README.md").read_text()
    made.potential, made.folder = dict(POTENTIAL), str(tmp_path)
    with pytest.raises(CryinGANError, match="is the potential that the structures were relaxed with"):
        compare_potentials.compare(made)
