"""Samples in the disordered region of a set: the set's other half, a collapse, noise."""

import numpy as np
import pytest

from cryingan.metrics.region_reference import RegionReference
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import distances_within, matched_distances
from tests.support.shared_sites import CELL, SCATTER, SPECIES, interfaces


@pytest.fixture(scope="module")
def reference():
    return RegionReference.of(interfaces(120, 0))


def test_region_is_the_disordered_atom(reference):
    assert reference.region.species == ("Li",)
    assert reference.region.fractional[:, 0, 2] == pytest.approx(np.full(120, 0.6), abs=0.25)


def test_other_structures_of_the_kind_reach_the_ceiling(reference):
    top, found = reference.of_training(60), reference.compare(interfaces(60, 1))
    for name in ("precision", "recall", "coverage"):
        assert found[name] == pytest.approx(top[name], abs=0.12)
    assert found["distance"] == pytest.approx(top["distance"], rel=0.15)


def test_collapse_and_noise_and_copies(reference):
    collapse = reference.compare(interfaces(60, 1, 0.05))
    assert collapse["precision"] == 1
    assert collapse["recall"] < 0.2
    noise = reference.compare(interfaces(60, 1, 9.0))
    assert noise["precision"] < 0.4
    copies = reference.compare(interfaces(120, 0)[:60])
    assert copies["nearest_training"] == pytest.approx(0, abs=1e-6)
    assert reference.of_training(60)["nearest_training"] > 0.1


def test_samples_that_are_all_one_structure(reference):
    found = reference.compare(interfaces(120, 0)[np.zeros(60, dtype=int)])
    assert found["precision"] == 1
    assert found["recall"] <= 1 / 60
    assert found["f1"] < 0.05
    assert found["coverage"] < 0.2
    assert found["distance"] == pytest.approx(0, abs=1e-6)
    assert found["nearest_training"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("number", "seen"), [(429, 429), (520, 500)])
def test_copies_of_structures_that_are_not_compared_are_seen(number, seen):
    training = interfaces(number, 0)
    reference = RegionReference.of(training)
    assert (len(reference.region), len(reference.structures)) == (178, seen)
    every = reference.mean.region(training)
    copied = (matched_distances(every, reference.structures).min(axis=1) < 1e-6).sum()
    assert copied == seen
    apart = matched_distances(reference.region, reference.structures)
    leave_one_out = np.where(apart < 1e-6, np.inf, apart).min(axis=1).mean()
    assert reference.of_training(60)["nearest_training"] == pytest.approx(leave_one_out, rel=1e-9)
    compared = {tuple(place) for place in reference.region.fractional[:, 0]}
    others = np.array([tuple(place) not in compared for place in every.fractional[:, 0]])
    if seen == number:
        copies = reference.compare(training[np.flatnonzero(others)[:40]])
        assert copies["nearest_training"] == pytest.approx(0, abs=1e-6)


def test_the_dimension_is_that_of_the_disordered_atoms(reference):
    """One atom in space has three; on a line, one."""
    assert reference.of_training(120)["dimension"] == pytest.approx(3, abs=0.8)
    assert reference.compare(interfaces(120, 1))["dimension"] == pytest.approx(3, abs=0.8)
    line = SCATTER * [[0, 0, 1]] + [[0, 0, 0.0]]
    assert reference.compare(interfaces(120, 1, line))["dimension"] == pytest.approx(1, abs=0.3)


def disordered(places, seed, scatter=0.6):
    """Structures of sixteen atoms, ten of them ordered, that scatter about places by so much on each axis, Angstrom."""
    widths = np.array([0.05] * 10 + [scatter] * 6)[:, None]
    moves = np.random.default_rng(seed).normal(size=(len(places), 16, 3)) * widths
    return Crystals(places + moves @ np.linalg.inv(CELL), CELL, ("Li", "Cl") * 8)


@pytest.mark.parametrize("number", [32, 60])
def test_what_the_f1_score_sees(number):
    """Neither a concentrated generator nor a random one has any, one that copies the set has all of it."""
    anywhere = np.random.default_rng(2).random((number, 16, 3))
    places = np.repeat(anywhere[:1], 120, axis=0)
    training = disordered(places, 0)
    reference = RegionReference.of(training)
    concentrated = reference.compare(disordered(training.fractional[:1].repeat(number, axis=0), 1, 0.05))
    random = reference.compare(Crystals(anywhere, CELL, training.species))
    copies = reference.compare(training[:number])
    assert concentrated["f1"] < 0.1
    assert random["f1"] < 0.1
    assert copies["f1"] > 0.9
    assert copies["nearest_training"] == pytest.approx(0, abs=1e-6)
    assert reference.of_training(number)["nearest_training"] > 0.5


def test_the_set_itself_reaches_every_measure(reference):
    training = interfaces(120, 0)
    found = reference.compare(training)
    assert [found[name] for name in ("precision", "recall", "f1", "coverage")] == [1, 1, 1, 1]
    assert found["nearest_training"] == pytest.approx(0, abs=1e-6)


def test_noise_far_away_has_nothing():
    scatter = np.minimum(SCATTER, 0.35)
    away = Crystals(interfaces(60, 1, scatter).fractional + np.array([0, 0, 0.25]), CELL, SPECIES)  # by 3 A
    found = RegionReference.of(interfaces(120, 0, scatter)).compare(away)
    assert [found[name] for name in ("precision", "f1", "density", "coverage")] == [0, 0, 0, 0]  # wide balls recall all


@pytest.mark.parametrize("kept", [0, 1, 4, 30, 60])
def test_lost_samples_are_in_no_ball_and_have_none(reference, kept):
    """As if they were all at one place far from everything."""
    samples = interfaces(60, 1)[:kept]
    region = reference.mean.region(samples)
    found = reference.compare(samples, lost=60 - kept)
    across = np.concatenate([matched_distances(region, reference.region), np.full((60 - kept, 120), 1e6)])
    among = np.full((60, 60), 1e6)
    among[:kept, :kept], among[kept:, kept:] = distances_within(region), 0
    expected = reference.compare_distances(across, among) | {"distance": found["distance"]}
    for name in ("precision", "density", "coverage"):
        assert found[name] == expected[name]
    assert found["recall"] == (pytest.approx(expected["recall"]) if kept > 5 else 0)
    assert np.isnan(found["distance"]) == (kept < 2)
    assert np.isnan(found["nearest_training"]) == (kept == 0)


def test_few_samples_have_no_value(reference):
    assert all(np.isnan(value) for value in reference.compare(interfaces(5, 1)).values())


@pytest.mark.parametrize(
    "training",
    [
        interfaces(11, 0),  # too few
        interfaces(50, 0, 0.05),  # no disorder
        Crystals(np.random.default_rng(0).random((50, 5, 3)), CELL, SPECIES),  # no sites
    ],
)
def test_sets_without_such_a_region(training):
    assert RegionReference.of(training) is None
