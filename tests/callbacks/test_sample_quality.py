from types import SimpleNamespace

import numpy as np
import pytest

from callbacks.sample_quality import SampleQuality
from cryingan.metrics.alloy.fcc import PAIR_NAMES, cluster_counts, fcc_sites, formation_energy, short_range_order
from cryingan.metrics.alloy.reference import AlloyReference
from cryingan.metrics.close_pairs import close_pairs
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals

SPECIES = ("Cr",) * 51 + ("Fe",) * 154 + ("Ni",) * 51
CELL = np.eye(3) * 14.4


def alloy(structures, offset=0.25, seed=0):
    rng = np.random.default_rng(seed)
    sites = fcc_sites(4, offset)
    return Crystals(np.stack([sites[rng.permutation(256)] for _ in range(structures)]), CELL, SPECIES)


def measure(training, samples):
    """As in a run that trains on `training`."""
    quality = SampleQuality()
    quality.setup(SimpleNamespace(datamodule=SimpleNamespace(training=training)), None, "fit")
    return quality.measure(samples)


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.3])
def test_samples_that_are_the_data_have_no_error(offset):
    crystals = alloy(20, offset)
    values = measure(crystals, crystals)
    assert values["alloy/vacancies"] == 0
    assert values["alloy/formation_energy_error"] == 0
    assert values["alloy/sro_error"] == 0
    assert values["samples/close_pairs"] == 0


def test_values_against_the_counts_themselves():
    training, samples = alloy(20), alloy(30, seed=1)
    occupations = np.full((30, 256), -1)
    sites = fcc_sites(4)
    for row, fractional in zip(occupations, samples.fractional, strict=True):
        for symbol, position in zip(SPECIES, fractional, strict=True):
            row[np.abs(sites - position).sum(axis=1).argmin()] = ("Cr", "Fe", "Ni").index(symbol)
    counts = cluster_counts(occupations)
    rattled = samples.fractional + np.random.default_rng(2).normal(0, 0.1 / 14.4, samples.fractional.shape)
    values = measure(training, Crystals(rattled, CELL, SPECIES))
    assert values["alloy/formation_energy"] == pytest.approx(formation_energy(counts).mean(), abs=1e-12)
    expected = dict(zip(PAIR_NAMES, short_range_order(counts)[:, :6].mean(axis=0), strict=True))
    assert {pair: values[f"alloy/sro_1_{pair}"] for pair in PAIR_NAMES} == pytest.approx(expected, abs=1e-12)


def test_an_empty_lattice_has_no_energy():
    training = alloy(5)
    clump = Crystals(np.full((3, 256, 3), 0.5), CELL, SPECIES)
    values = measure(training, clump)
    assert values["alloy/vacancies"] == 1
    assert np.isnan(values["alloy/formation_energy"])
    assert values["samples/close_pairs"] == 256 * 255 / 2


@pytest.mark.parametrize(
    "crystals",
    [
        random_crystals(3, ("Li", "O"), np.eye(3) * 14.4),
        random_crystals(3, SPECIES, CELL),
        Crystals(alloy(2).fractional, np.eye(3) * 15.0, SPECIES),
    ],
)
def test_other_structures_are_no_alloy(crystals):
    assert AlloyReference.of(crystals) is None
    assert set(measure(crystals, crystals)) == {
        "samples/close_pairs",
        "samples/neighbor_distance_error",
        "samples/spread",
    }


def test_close_pairs_are_those_of_the_metric():
    import torch

    crystals = Crystals(np.random.default_rng(0).uniform(size=(4, 30, 3)), np.eye(3) * 6.0, ("Li",) * 30)
    counts = close_pairs(torch.from_numpy(crystals.fractional), torch.from_numpy(crystals.cell))
    assert measure(crystals, crystals)["samples/close_pairs"] == pytest.approx(counts.double().mean().item())
    assert counts.sum() > 0


def test_neighbour_distances_of_a_stretched_lattice():
    """Simple cubic against a stretched copy: every one of the six distances is longer by the stretch."""
    grid = np.indices((4,) * 3).reshape(1, 3, -1).swapaxes(1, 2) / 4
    cubic, wider = (Crystals(grid, np.eye(3) * 4 * edge, ("Po",) * 64) for edge in (3.0, 3.1))
    assert measure(cubic, wider)["samples/neighbor_distance_error"] == pytest.approx(0.1, abs=1e-12)
    assert measure(cubic, cubic)["samples/neighbor_distance_error"] == 0


def test_spread_is_how_far_atoms_are_from_their_places_in_other_samples():
    one = np.random.default_rng(0).uniform(size=(1, 20, 3))
    moved = (one + np.array([0.9, 0.0, 0.0])) % 1.0  # 0.1 the other way round
    crystals = Crystals(np.concatenate([one, moved]), np.diag([5.0, 6.0, 7.0]), ("Li",) * 20)
    assert measure(crystals, crystals)["samples/spread"] == pytest.approx(0.5, abs=1e-12)
    assert np.isnan(measure(crystals, crystals[:1])["samples/spread"])
