"""Samples in the disordered region of a set: the set's other half, a collapse, noise."""

import numpy as np
import pytest

from cryingan.metrics.region_reference import RegionReference
from cryingan.structures.crystals import Crystals

SPECIES = ("Li", "Cl", "Li", "O", "Li")
CELL = np.diag([6.0, 7.0, 12.0])
PLACES = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.1, 0.6, 0.1], [0.6, 0.6, 0.1], [0.4, 0.4, 0.6]])
SCATTER = np.array([0.05, 0.05, 0.05, 0.05, 0.7])[:, None]  # Angstrom; the last atom is disordered


def structures(number, seed, scatter=SCATTER):
    moves = np.random.default_rng(seed).normal(size=(number, 5, 3)) * scatter
    return Crystals(PLACES + moves @ np.linalg.inv(CELL), CELL, SPECIES)


@pytest.fixture(scope="module")
def reference():
    return RegionReference.of(structures(120, 0))


def test_region_is_the_disordered_atom(reference):
    assert reference.region.species == ("Li",)
    assert reference.region.fractional[:, 0, 2] == pytest.approx(np.full(120, 0.6), abs=0.25)


def test_other_structures_of_the_kind_reach_the_ceiling(reference):
    top, found = reference.of_training(60), reference.compare(structures(60, 1))
    for name in ("precision", "recall", "coverage"):
        assert found[name] == pytest.approx(top[name], abs=0.12)
    assert found["distance"] == pytest.approx(top["distance"], rel=0.15)


def test_collapse_and_noise_and_copies(reference):
    collapse = reference.compare(structures(60, 1, 0.05))
    assert collapse["precision"] == 1
    assert collapse["recall"] < 0.2
    noise = reference.compare(structures(60, 1, 9.0))
    assert noise["precision"] < 0.4
    copies = reference.compare(structures(120, 0)[:60])
    assert copies["nearest_training"] == pytest.approx(0, abs=1e-6)
    assert reference.of_training(60)["nearest_training"] > 0.1


def test_few_samples_have_no_value(reference):
    assert all(np.isnan(value) for value in reference.compare(structures(5, 1)).values())


@pytest.mark.parametrize(
    "training",
    [
        structures(11, 0),  # too few
        structures(50, 0, 0.05),  # no disorder
        Crystals(np.random.default_rng(0).random((50, 5, 3)), CELL, SPECIES),  # no sites
    ],
)
def test_sets_without_such_a_region(training):
    assert RegionReference.of(training) is None
