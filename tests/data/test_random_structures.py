"""Random structures of sets that no builder of interfaces made: occupation of shared sites, or atoms anywhere."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list

from cryingan.metrics.close_pairs import close_pairs
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from data.module import StructureData
from tests.conftest import random_crystals
from train import train

ALLOY = ("Au",) * 16 + ("Cu",) * 48


@pytest.fixture
def alloy(tmp_path):
    """Ten alloys of 64 atoms, relaxed by about 0.1 Angstrom; and their lattice."""
    random, lattice = np.random.default_rng(0), bulk("Cu", a=3.8, cubic=True).repeat(4)[:64]
    lattice = bulk("Cu", a=3.8).repeat(4)
    places = np.array([lattice.get_scaled_positions()[random.permutation(64)] for _ in range(10)])
    noise = random.normal(scale=0.06, size=places.shape) @ np.linalg.inv(lattice.cell)
    path = tmp_path / "alloy.extxyz"
    write_structures(Crystals(places + noise, np.asarray(lattice.cell), ALLOY), path)
    return path, lattice


def test_an_alloy_has_its_composition_on_its_sites_without_order(alloy):
    path, lattice = alloy
    data = StructureData(path)
    drawn = data.random.draw(40, 1)
    assert (data.random.title, drawn.counts, drawn.species) == ("random occupation", {"Au": 16, "Cu": 48}, ALLOY)
    for frame in drawn.to_ase()[:3]:
        both = Atoms("X128", positions=[*frame.positions, *lattice.positions], cell=lattice.cell, pbc=True)
        near = both.get_all_distances(mic=True)[:64, 64:]
        np.testing.assert_array_equal(np.sort(near.argmin(axis=1)), range(64))  # each site once
        assert near.min(axis=1).max() < 0.2
    gold = np.array(ALLOY) == "Au"
    shares = []
    for frame in drawn.to_ase():
        first, second = neighbor_list("ij", frame, 3.2)  # neighbours at 2.69 and 3.8 Angstrom
        shares.append(gold[second[gold[first]]].mean())
    assert np.mean(shares) == pytest.approx(15 / 63, abs=0.02)  # of the other atoms
    np.testing.assert_array_equal(data.random.draw(3, 1).fractional, drawn.fractional[:3])
    assert not drawn.same_as(data.random.draw(40, 2))


@pytest.mark.parametrize("species", [("Si",) * 12, ("Si", "O", "O") * 4])
def test_a_glass_has_atoms_anywhere(tmp_path, species):
    path, cell = tmp_path / "glass.extxyz", np.diag([9.0, 9.0, 12.0])
    places = np.random.default_rng(0).uniform(size=(8, 12, 3))
    write_structures(Crystals(places, cell, species), path)
    random = StructureData(path).random
    drawn = random.draw(300, 1)
    assert (random.title, random.why, drawn.species) == ("random atoms", "", species)
    counts, _ = np.histogramdd(drawn.fractional.reshape(-1, 3), bins=2, range=[(0, 1)] * 3)
    assert np.abs(counts - 450).max() < 100  # five standard deviations
    np.testing.assert_array_equal(drawn.fractional, np.random.default_rng(1).uniform(size=(300, 12, 3)))


def test_identical_atoms_have_no_occupation(tmp_path):
    path = tmp_path / "crystal.extxyz"
    write_structures(random_crystals(8, ("Si",) * 8, np.eye(3) * 8), path)
    assert StructureData(path).random.title == "random atoms"


def test_a_run_compares_with_them(tiny, alloy, tmp_path):
    path, _ = alloy
    summary = "{_target_: callbacks.summary.Summary, run_dir: ${run_dir}}"
    train(tiny(f"data.path={path}", "trainer.max_epochs=1", "seed=3", f"+callbacks.summary={summary}"))
    import json

    import torch

    found = json.loads((tmp_path / "run/summary.json").read_text())
    drawn = StructureData(path).random.draw(found["samples"], 3)
    pairs = close_pairs(torch.from_numpy(drawn.fractional), torch.from_numpy(drawn.cell)).double().mean()
    assert found["random occupation"]["samples/close_pairs"] == pytest.approx(pairs.item(), abs=1e-9)
