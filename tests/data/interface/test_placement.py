"""Random structures of a built set, from its card: those of the build, for any seed, in the order of any file."""

import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import yaml

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.structures.files import read_structures, write_structures
from data.interface.assembly import assemble
from data.interface.bulk import prepared_crystals
from data.interface.parts import build_hash, built_interface
from data.interface.placement import SLABS, with_slabs_of, write_slabs
from data.interface.settings import INTERFACE_SETS
from data.interface.systems import read_system, system_path
from data.module import StructureData
from tests.support.interfaces import POTENTIAL, STRUCTURES, energy_rows


@pytest.fixture
def folder(built, tmp_path):
    """A copy of a built set, without its relaxations."""
    return shutil.copytree(built.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("work", ".cryingan"))


def test_the_seed_of_the_build_gives_the_structures_that_it_relaxed(folder):
    random = StructureData(folder / "pair.extxyz.gz").random
    assert random.title == "random interfaces"
    energies = load_potential(**POTENTIAL).evaluate(random.draw(STRUCTURES, 0).to_ase())[0] / 31
    recorded = [float(row["energy_per_atom_initial"]) for row in energy_rows(folder)]
    np.testing.assert_allclose(energies, recorded, atol=1e-6)


def test_other_seeds_are_those_of_the_builder(built, folder):
    data, system = StructureData(folder / "pair.extxyz.gz"), read_system(built.parents[1] / "pair.yaml")
    interface = assemble(system, *prepared_crystals(system, load_potential(**POTENTIAL), built))
    drawn = data.random.draw(5, 7)
    assert drawn.same_as(interface.structures(7, range(5)))
    assert (drawn.species, len(drawn)) == (data.crystals.species, 5)
    np.testing.assert_array_equal(drawn.cell, data.crystals.cell)
    np.testing.assert_array_equal(drawn.fractional[:2], data.random.draw(2, 7).fractional)
    assert not drawn.same_as(data.random.draw(5, 8))


def test_a_file_in_another_order_has_its_own(folder):
    crystals = read_structures(folder / "pair.extxyz.gz")
    mixed = crystals.reordered(np.random.default_rng(0).permutation(31))
    write_structures(mixed, folder / "mixed.extxyz")
    (folder / "pair.card.yaml").rename(folder / "mixed.card.yaml")
    drawn = StructureData(folder / "mixed.extxyz").random.draw(2, 3)
    usual = StructureData(folder / "pair.extxyz.gz", card=str(folder / "mixed.card.yaml")).random.draw(2, 3)
    assert drawn.species == mixed.species != usual.species
    for symbol in ("Li", "O", "Cl"):
        one, other = (each.fractional[:, np.array(each.species) == symbol] for each in (drawn, usual))
        np.testing.assert_array_equal(one, other)


def test_a_card_that_does_not_know_or_fit(folder):
    path, card = folder / "pair.extxyz.gz", folder / "pair.card.yaml"
    content = yaml.safe_load(card.read_text())
    slabs = content["made"].pop("slabs")
    card.write_text(yaml.safe_dump(content))
    random = StructureData(path).random
    assert random.title == "random atoms"
    assert "pair.card.yaml has no made.slabs; the build of a set with collect=true adds them" in random.why
    for changed, problem in (
        (slabs | {"placed": "Li Cl"}, None),
        (slabs | {"file": "gone.extxyz"}, "gone.extxyz"),
        (slabs | {"heights": 3}, r"pair.card.yaml: made.slabs needs file, placed and heights"),
    ):
        card.write_text(yaml.safe_dump(content | {"made": content["made"] | {"slabs": changed}}))
        if problem is None:
            assert "have another cell or composition" in StructureData(path).random.why
        else:
            with pytest.raises(CryinGANError, match=problem):
                _ = StructureData(path).random


@pytest.mark.parametrize("name", ["li2o_licl", "lsc_lco"])
def test_sets_that_come_with_the_project_have_their_own(name):
    data = StructureData(INTERFACE_SETS / name / f"{name}.extxyz.gz")
    drawn, made = data.random.draw(3, 1), yaml.safe_load((INTERFACE_SETS / name / f"{name}.card.yaml").read_text())
    assert data.random.title == "random interfaces"
    assert (drawn.species, drawn.counts) == (data.crystals.species, made["made"]["composition"])
    random, heights = made["made"]["region"], drawn.fractional[..., 2] * drawn.cell[2, 2]
    low, high = made["made"]["slabs"]["heights"]
    np.testing.assert_allclose(np.array([low, high]) / drawn.cell[2, 2], made["region"], atol=1e-4)
    assert ((heights > low + 1e-6) & (heights < high - 1e-6)).sum() == 3 * sum(random["atoms"].values())
    apart = drawn.to_ase()[0].get_all_distances(mic=True)[np.triu_indices(len(drawn.species), 1)]
    assert apart.min() > 1.5


@pytest.mark.parametrize(("axis", "cells"), [(0, 1 / 3), (0, 1 / 2), (1, -1 / 4)])
def test_slabs_of_a_build_whose_origin_was_in_another_gap(built, tmp_path, axis, cells):
    system = read_system(built.parents[1] / "pair.yaml")
    here = assemble(system, *prepared_crystals(system, load_potential(**POTENTIAL), built))
    moved = here.slabs.copy()
    moved.set_scaled_positions((here.slabs.get_scaled_positions() + cells * np.eye(3)[axis]) % 1.0)
    there = replace(here, slabs=moved)
    write_slabs(there, tmp_path / SLABS)
    found = with_slabs_of(tmp_path, here)
    assert found.structures(0, range(2)).same_as(there.structures(0, range(2)))
    assert not found.structures(0, range(2)).same_as(here.structures(0, range(2)))
    assert build_hash(0, found) == build_hash(0, there) != build_hash(0, here)


def test_other_slabs_and_none(built, tmp_path):
    system = read_system(built.parents[1] / "pair.yaml")
    here = assemble(system, *prepared_crystals(system, load_potential(**POTENTIAL), built))
    assert with_slabs_of(tmp_path, here) is here
    for change in ("position", "cell", "species"):
        other = here.slabs.copy()
        if change == "position":
            other.positions[-1, 0] += 0.01
        elif change == "cell":
            other.set_cell(other.cell * 1.001, scale_atoms=True)
        else:
            other.symbols[0] = "Na"
        write_slabs(replace(here, slabs=other), tmp_path / SLABS)
        assert with_slabs_of(tmp_path, here) is here


@pytest.mark.slow
@pytest.mark.parametrize("system", ["li2o_licl", "li2o_licl_low", "lsc_lco"])
def test_archived_relaxations_are_of_the_structures_that_are_placed_here(tmp_path, system):
    with tarfile.open(INTERFACE_SETS / system / "relaxations.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    interface, _ = built_interface(read_system(system_path(system)), tmp_path / "work")
    assert len(interface.order) in (77, 264)
