"""The cut-off of another potential in the card of a set."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryingan.energies.data_card import default_potential, read_data_card, read_random_energies
from cryingan.energies.training_scale import TrainingScale
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from data.interface import build
from data.interface.add_potential import AddPotentialSettings, add
from data.interface.potential_training.comparison import relaxations
from data.interface.settings import INTERFACE_SETS
from tests.support.interfaces import KEPT, POTENTIAL, SERIAL, build_settings
from tests.support.relaxations import quietly

pytestmark = pytest.mark.usefixtures("no_figures")
HERE = RelaxSettings(**SERIAL)
OTHER = {**POTENTIAL, "radii": {"Li": 0.75, "O": 1.05, "Cl": 1.3}}


@pytest.fixture
def again(built, tmp_path):
    """A copy of it, and how another potential is added."""
    shutil.copytree(built.parents[1], tmp_path / "copy")
    copy = tmp_path / "copy"
    return AddPotentialSettings(str(copy / "pair.yaml"), dict(OTHER), n=5, relax=dict(SERIAL), folder=str(copy / "set"))


def test_cut_off_keeps_the_same_share_of_the_same_structures(again):
    card = read_data_card(again.output / "pair.extxyz.gz")
    assert add(again) == again.output / "pair.card.yaml"
    added, other = read_data_card(again.output / "pair.extxyz.gz"), load_potential(**OTHER)
    assert added.cutoffs[:-1] == card.cutoffs
    starts = relaxations(again.system, again.build_folder, None, 5)
    ended = quietly(starts.starts, other, **{**starts.settings, **SERIAL, "frames": 0})
    energies = ended.energy_final / len(starts.starts.species)
    assert added.cutoff(other.card).energy_per_atom == pytest.approx(np.sort(energies)[round(KEPT * 5) - 1], abs=2e-8)
    with (again.output / added.cutoffs[-1].random).open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["energy_per_atom"]) for row in rows], energies, atol=1e-8)
    assert [int(row["number"]) for row in rows] == starts.numbers

    scale = TrainingScale({"path": str(again.output / "pair.extxyz.gz"), "sort_species": False}, other, settings=HERE)
    assert (scale.random <= 0).sum() == round(KEPT * 5)
    assert scale.scale.zero == added.cutoff(other.card).energy_per_atom


def test_other_cut_offs_stay_when_the_set_is_written_again(again):
    card = add(again)
    before = yaml.safe_load(card.read_text())["cutoffs"]
    add(again)
    assert yaml.safe_load(card.read_text())["cutoffs"] == before, "in the place of the earlier one"
    collect = build_settings(again.output.parent / "pair.yaml", 6)
    collect.collect = True
    build.build(collect)
    assert yaml.safe_load(card.read_text())["cutoffs"] == before
    content = yaml.safe_load(card.read_text())
    content["cutoffs"][0]["hash"] = "0" * 64  # as if built with other weights, in another cell
    card.write_text(yaml.safe_dump(content))
    build.build(collect)
    [own] = yaml.safe_load(card.read_text())["cutoffs"]
    assert own == before[0]


def test_random_structures_of_the_build_are_on_its_own_scale(again):
    own = load_potential(**POTENTIAL)
    scale = TrainingScale({"path": str(again.output / "pair.extxyz.gz"), "sort_species": False}, own, settings=HERE)
    assert len(scale.random) == 6
    assert scale.random.max() > 0
    assert (scale.random <= 0).sum() == round(KEPT * 6)


def test_what_cannot_be_added_is_refused(again, tmp_path):
    again.potential = dict(POTENTIAL)
    with pytest.raises(CryinGANError, match="is the potential of the build, whose cut-off the card has"):
        add(again)
    again.folder = str(tmp_path / "nowhere")
    with pytest.raises(CryinGANError, match="build the set first"):
        add(again)
    assert read_data_card(tmp_path / "nowhere").cutoff(PotentialCard("x", "0" * 64, ())) is None


@pytest.mark.parametrize("folder", sorted(INTERFACE_SETS.glob("*/potential")), ids=lambda folder: folder.parent.name)
def test_committed_potential_is_that_of_its_own_card(folder):
    assert sum(path.stat().st_size for path in folder.glob("*.pt")) < 1e6
    potential = load_potential("m3gnet", str(folder)).card
    metrics, comparison = (json.loads((folder / name).read_bytes()) for name in ("metrics.json", "comparison.json"))
    assert {metrics["hash"], comparison["potential"]["hash"]} == {potential.hash}
    assert set(map(str, comparison["numbers"])) <= set(metrics["held_out"])
    card = read_data_card(folder.parent / f"{folder.parent.name}.extxyz.gz")
    assert comparison["reference_hash"] == metrics["labels"]["hash"] == card.cutoffs[0].hash
    assert comparison["cutoff"] == card.cutoffs[0].energy_per_atom


@pytest.mark.parametrize("data", sorted(INTERFACE_SETS.glob("*/*.extxyz.gz")), ids=lambda path: path.parent.name)
def test_default_potential_of_a_committed_set_has_a_cut_off_in_its_card(data):
    default, card = default_potential(data), read_data_card(data)
    if default is None:
        assert len(card.cutoffs) == 1
        return
    own = INTERFACE_SETS / data.parent.name.removesuffix("_low") / "potential"  # of the same interface
    assert (default["kind"], Path(default["path"]).resolve()) == ("m3gnet", own.resolve())
    potential = load_potential(**default).card
    cutoff = card.cutoff(potential)
    random = read_random_energies(data.parent / cutoff.random)
    kept = round(card.made["kept_share"] * len(random))
    assert cutoff.energy_per_atom == pytest.approx(np.sort(random)[kept - 1], abs=2e-8)
