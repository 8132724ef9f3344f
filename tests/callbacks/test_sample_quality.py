"""Sample quality: values against the functions and the alloy's counts, alone and in several processes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.sample_quality import SampleQuality
from cryingan.geometry.distances import neighbor_distances
from cryingan.metrics.alloy.fcc import PAIR_NAMES, cluster_counts, fcc_sites, formation_energy, short_range_order
from cryingan.metrics.alloy.reference import AlloyReference
from cryingan.metrics.close_pairs import close_pairs
from cryingan.metrics.region_reference import KEYS, RegionReference
from cryingan.metrics.sample_distance import sample_distance
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_distances
from tests.conftest import random_crystals
from tests.support.shared_sites import SPECIES as SITES
from tests.support.shared_sites import interfaces

SPECIES = ("Cr",) * 51 + ("Fe",) * 154 + ("Ni",) * 51
CELL = np.eye(3) * 14.4


def alloy(structures, offset=0.25, seed=0):
    rng = np.random.default_rng(seed)
    sites = fcc_sites(4, offset)
    return Crystals(np.stack([sites[rng.permutation(256)] for _ in range(structures)]), CELL, SPECIES)


def measure(training, samples, rank=0, processes=1, translated=()):
    """As in a run that trains on `training`."""
    trainer = trainer_of(training, rank, processes, translated)
    quality = SampleQuality()
    quality.setup(trainer, None, "fit")
    return quality.measure(samples, trainer)


def quality_of(training, translated):
    quality = SampleQuality()
    quality.setup(trainer_of(training, translated=translated), None, "fit")
    return quality


def trainer_of(training, rank=0, processes=1, translated=()):
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data = SimpleNamespace(training=training, translated=translated, settings=SimpleNamespace(translate="a"))
    trainer = SimpleNamespace(datamodule=data, world_size=processes, global_rank=rank, strategy=strategy)
    trainer.is_global_zero = rank == 0
    return trainer


@pytest.mark.parametrize("sites_shared", [True, False])
def test_values_of_the_training_set_beside_those_of_samples(sites_shared):
    training = interfaces(40, 0) if sites_shared else random_crystals(40, ("Li", "Cl") * 10, 12 * np.eye(3))
    trainer = SimpleNamespace(datamodule=SimpleNamespace(training=training), is_global_zero=True)
    quality = SampleQuality(n=20)
    quality.setup(trainer, None, "fit")
    some = training.evenly(20)
    pairs = close_pairs(torch.from_numpy(some.fractional), torch.from_numpy(some.cell))
    assert quality.training["samples/close_pairs"] == sum(pairs.tolist()) / 20
    assert ("samples/precision" in quality.training) == sites_shared
    if not sites_shared:
        typical = matched_distances(some, some)[~np.eye(20, dtype=bool)].mean()
        assert quality.training["samples/distance"] == pytest.approx(typical, rel=0.2)


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
        "samples/distance",
    }


def test_values_are_those_of_the_functions_to_the_last_bit():
    crystals = Crystals(np.random.default_rng(0).uniform(size=(5, 30, 3)), np.eye(3) * 6.0, ("Li",) * 30)
    samples = crystals[:4]
    training, sampled, cell = map(torch.from_numpy, (crystals.fractional, samples.fractional, crystals.cell))
    means = [neighbor_distances(fractional, cell, 6).mean(dim=(0, 1)) for fractional in (sampled, training)]
    assert measure(crystals, samples) == {
        "samples/close_pairs": close_pairs(sampled, cell).double().mean().item(),
        "samples/neighbor_distance_error": (means[0] - means[1]).abs().mean().item(),
        "samples/distance": sample_distance(samples),
    }
    assert np.isnan(measure(crystals, samples[:1])["samples/distance"])


def test_sets_of_shared_sites_have_the_measures_of_their_region():
    training, samples = interfaces(40, 0), interfaces(9, 1)
    found = RegionReference.of(training).compare(samples)
    values = measure(training, samples)
    assert {name: values[f"samples/{name}"] for name in KEYS} == found
    assert np.isnan([measure(training, samples[:5])[f"samples/{name}"] for name in KEYS]).all()


def moved(crystals, axes):
    """Each structure somewhere else along some axes."""
    moves = np.zeros((len(crystals), 1, 3))
    moves[..., axes] = np.random.default_rng(4).random((len(crystals), 1, len(axes)))
    return Crystals(crystals.fractional + moves, crystals.cell, crystals.species)


def test_translated_samples_are_compared_at_the_sites_of_the_set(caplog):
    caplog.set_level("INFO")
    training, samples = interfaces(40, 0), interfaces(30, 1)
    expected = measure(training, samples)
    assert not caplog.text
    values = measure(training, moved(samples, [0, 1]), translated=(0, 1))
    assert caplog.messages == [
        "data.translate=a: samples are compared with the training structures after a translation to their sites"
    ]
    assert set(values) == set(expected)
    for name in ("precision", "recall", "coverage"):
        assert values[f"samples/{name}"] == pytest.approx(expected[f"samples/{name}"], abs=0.12)
    assert values["samples/distance"] == pytest.approx(expected["samples/distance"], rel=0.1)
    higher = Crystals(samples.fractional + np.array([0, 0, 0.1]), samples.cell, SITES)
    placed, anywhere = measure(training, higher), measure(training, moved(higher, [0, 1]), translated=(0, 1))
    assert anywhere["samples/nearest_training"] == pytest.approx(placed["samples/nearest_training"], rel=0.1)
    assert anywhere["samples/nearest_training"] > 1.3 * values["samples/nearest_training"], "its place on c counts"


def test_translated_copies_of_one_structure_are_alike():
    training, one = interfaces(40, 0), interfaces(1, 1)
    copies = moved(one[np.zeros(64, dtype=int)], [0, 1])
    assert sample_distance(copies) > 1
    values = measure(training, copies, translated=(0, 1))
    assert values["samples/distance"] == pytest.approx(0, abs=1e-3)
    assert values["samples/recall"] < 0.1


def test_distances_of_translated_samples_without_sites_are_left_out(caplog):
    caplog.set_level("INFO")
    glass = random_crystals(40, ("Li", "Cl") * 10, 12 * np.eye(3))
    quality = quality_of(glass, translated=(0, 1, 2))
    assert quality.keys == {"samples/close_pairs", "samples/neighbor_distance_error"}
    assert set(quality.training) == {"samples/close_pairs"}
    assert caplog.messages == [
        "data.translate=a: samples have no sites to be translated to, so samples/distance and alloy/ are left out"
    ]


def one_process(rank, expected, path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    for training, here, values in expected:
        assert measure(training, here, rank, processes=2) == pytest.approx(values, rel=1e-12)
    torch.distributed.destroy_process_group()


@pytest.mark.slow  # processes that import torch
def test_several_processes_are_one(tmp_path):
    sets = [(alloy(5), random_crystals(3, SPECIES, CELL)), (interfaces(14, 0), interfaces(7, 1))]
    expected = [(training, samples, measure(training, samples)) for training, samples in sets]
    assert set(expected[0][2]) > {"samples/distance", "alloy/vacancies"}
    assert set(expected[1][2]) > {"samples/distance", "samples/f1"}
    torch.multiprocessing.spawn(one_process, (expected, tmp_path / "meeting"), nprocs=2)
