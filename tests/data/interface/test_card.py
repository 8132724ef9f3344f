"""Cards of sets: written by a build, extended by other potentials, and those of the sets that come with the project."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryingan.energies.data_card import read_data_card, read_random_energies
from cryingan.energies.fractions import quantile_thresholds
from cryingan.energies.scale import energy_scale, interface_area
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import Potential
from cryingan.structures.files import read_structures, write_structures
from data.interface import build
from data.interface import card as set_card
from data.interface.screening import SCREENED
from data.interface.settings import INTERFACE_SETS
from data.module import StructureData
from tests.conftest import compose, random_crystals
from tests.support.interfaces import build_settings, energy_rows

pytestmark = pytest.mark.usefixtures("no_figures")


def test_own_set_of_the_papers(tmp_path):
    # The cell of the papers' files; c is not published and does not matter for the area.
    a, b, gamma = 12.46997, 17.19967, np.radians(75.6674)
    cell = np.array([[a, 0, 0], [b * np.cos(gamma), b * np.sin(gamma), 0], [0, 0, 40]])
    species = tuple(s for s, count in {"Li": 72, "Co": 36, "Sc": 12, "O": 72, "Cl": 72}.items() for _ in range(count))
    path = tmp_path / "train.extxyz"
    write_structures(random_crystals(5, species, cell), path)
    config = compose("data=dismai_lsc_lco", f"data.path={path}")
    data = StructureData(config.data.path, card=config.data.card)
    source = data.source
    card = read_data_card(source["path"], source["card"])
    potential = PotentialCard("m3gnet_int", "0" * 64, ())
    scale = energy_scale(card, data.training, Potential(potential), tmp_path)
    assert interface_area(cell) == pytest.approx(207.80370664315096)
    assert (scale.zero, scale.unit) == (-4.78, "J/m^2")
    values = scale.normalise(np.array([-4.80, -4.78, -4.77]), potential).values
    np.testing.assert_allclose(values, [-0.40709055503263, 0, 0.20354527751633], atol=1e-12)
    assert card.cutoff(PotentialCard("another", "0" * 64, ())) is None


def test_card_that_is_missing_is_named(tmp_path):
    with pytest.raises(CryinGANError, match="nowhere"):
        read_data_card(tmp_path / "x.extxyz", tmp_path / "nowhere.card.yaml")


@pytest.mark.parametrize("path", sorted(INTERFACE_SETS.glob("*/*.extxyz.gz")), ids=lambda path: path.parent.name)
def test_committed_set_is_what_its_card_says(path):
    assert path.stat().st_size < 5e6
    crystals, card, table = read_structures(path), read_data_card(path), energy_rows(path.parent)
    made = card.made
    assert dict(crystals.counts) == made["composition"]
    assert len(crystals) == made["kept"] == sum(row["kept"] == "True" for row in table)
    assert len(table) == made["tried"]
    refused = made.get("contacts", {}).get("refused", 0)  # li2o_licl was built before contacts were refused
    known = sum(made["ended"].get(reason, 0) for reason in ("converged", SCREENED))
    assert made["kept"] + refused == round(made["kept_share"] * known)
    assert made["vacuum"] >= 14
    for side, determinant in zip(("substrate", "film"), made["determinants"], strict=True):
        assert round(abs(np.linalg.det(made[side]["matrix"]))) == determinant
    assert interface_area(crystals.cell) == pytest.approx(made["area"], abs=1e-3)
    cutoff = card.cutoffs[0]
    with gzip.open(path, "rt") as file:
        energies = [float(text) for text in re.findall(r" energy_per_atom=(\S+)", file.read())]
    assert len(energies) == len(crystals)
    assert max(energies) <= cutoff.energy_per_atom + 1e-8
    assert [row["kept"] == "True" for row in table] == [
        row["reason"] == "converged"
        and float(row["energy_per_atom"]) <= cutoff.energy_per_atom
        and row.get("contacts", "none") == "none"
        for row in table
    ]
    for one in card.cutoffs:
        random = read_random_energies(path.parent / one.random)
        assert one.quantiles == pytest.approx(quantile_thresholds(random), abs=1e-8)
        assert one.quantiles[10] < one.energy_per_atom
    for atoms in crystals[:20].to_ase():
        distances = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
        assert distances.min() > 1.4
    config = compose(f"data={path.parent.name}")
    assert Path(config.data.path).samefile(path)
    assert yaml.safe_load((path.parent / f"{path.parent.name}.card.yaml").read_text())["kind"] == "interface"


@pytest.mark.parametrize("changed", ["seed", "kept"])
def test_cutoffs_of_other_potentials_go_when_the_random_structures_or_their_share_change(system, changed, capsys):
    folder = build.build(build_settings(system, 3))
    card = folder / "pair.card.yaml"
    set_card.add_cutoff(card, {"potential": "other", "hash": "a" * 64, "energy_per_atom": 1.0, "random": "x"}, "other")
    system.write_text(system.read_text().replace("{file: licl.cif}", "{file: licl.cif, source: Smith (1990)}"))
    build.build(build_settings(system, 4))
    content = yaml.safe_load(card.read_text())
    assert [one["potential"] for one in content["cutoffs"]] == ["pair", "other"]
    assert content["made"]["film"]["source"] == "Smith (1990)"
    assert content["default_potential"] == "other"
    assert "cut-offs of" not in capsys.readouterr().err
    system.write_text(system.read_text().replace("kept: 0.5", "kept: 0.75" if changed == "kept" else "kept: 0.5"))
    given = {"seed": 7, "work": str(folder / "again")} if changed == "seed" else {}
    build.build(build_settings(system, 4, **given))
    content = yaml.safe_load(card.read_text())
    assert [one["potential"] for one in content["cutoffs"]] == ["pair"]
    assert "default_potential" not in content
    assert f"{card}: the cut-offs of other go, as they belong to another build" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["- a\n", "cutoffs: [3]\n", "name: [\n"])
def test_a_card_that_is_none_is_found_before_anything_is_relaxed(system, content):
    card = system.parent / "set" / "pair.card.yaml"
    card.parent.mkdir()
    card.write_text(content)
    with pytest.raises(CryinGANError, match=r"pair\.card\.yaml"):
        build.build(build_settings(system, 3))
    assert not (card.parent / "work").exists()
    card.write_text("name: mine\nkind: interface\n")
    build.build(build_settings(system, 3))
    assert yaml.safe_load(card.read_text())["made"]["tried"] == 3
