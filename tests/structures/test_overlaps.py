"""Overlapping atoms: what is found, against all images of all pairs by hand, and what a training says of it."""

from itertools import product

import numpy as np
import pytest

from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from cryingan.structures.overlaps import SHARE, overlaps
from data.module import StructureData

RADII = {"H": 0.31, "O": 0.66, "Li": 1.28, "Si": 1.11}


@pytest.mark.parametrize("seed", range(4))
def test_the_closest_pair_in_units_of_its_radii(seed):
    random = np.random.default_rng(seed)
    cell = 3.2 * np.eye(3) + random.normal(0, 0.6, (3, 3))
    species = ("H", "O", "Li", "Si")
    crystals = Crystals(random.random((30, 4, 3)), cell, species)
    images = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))
    found = {one.structure: one for one in overlaps(crystals)}
    for number, fractional in enumerate(crystals.fractional):
        apart = np.linalg.norm((fractional[None, :, None] + images - fractional[:, None, None]) @ cell, axis=-1)
        apart[apart < 1e-8] = np.inf
        limits = SHARE * np.add.outer(*[[RADII[one] for one in species]] * 2)
        shares = apart.min(axis=2) / limits
        assert (number in found) == (shares.min() < 1)
        if number in found:
            assert found[number].distance / found[number].limit == pytest.approx(shares.min())
            assert shares[found[number].atoms] == pytest.approx(shares.min())
    assert 0 < len(found) < 30


def test_molecules_with_the_strongest_bonds_are_none():
    for species, length in ((("H", "H"), 0.741), (("N", "N"), 1.098), (("C", "O"), 1.128), (("O", "H"), 0.957)):
        assert not overlaps(Crystals([[[0, 0, 0], [length / 9, 0, 0]]], 9 * np.eye(3), species))


def test_a_training_says_which_atoms_overlap_and_goes_on(tmp_path, caplog):
    from types import SimpleNamespace

    fractional = np.random.default_rng(0).normal(0, 0.002, (120, 3, 3)) + np.array([[0.2] * 3, [0.5] * 3, [0.8] * 3])
    fractional[[6, 70], 1] = fractional[[6, 70], 2] - [[0.0625, 0, 0], [0.07, 0, 0]]
    write_structures(Crystals(fractional, 8 * np.eye(3), ("Li", "O", "O")), tmp_path / "set.extxyz")
    data = StructureData(tmp_path / "set.extxyz")
    data.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(), strategy=SimpleNamespace(root_device="cpu"), global_rank=0
    )
    data.setup("fit")
    [said] = [record.getMessage() for record in caplog.records if "covalent" in record.getMessage()]
    assert said.startswith(f"{tmp_path / 'set.extxyz'}, frame 7: atoms 2 and 3 are 0.50 Angstrom apart, less than half")
    assert "(0.66); so it is in 2 of 120 structures" in said
    assert len(data.tensors["training"])
