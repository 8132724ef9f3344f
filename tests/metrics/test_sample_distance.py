"""How far samples are from each other: exchanged atoms, a collapse, all permutations of a few atoms."""

from itertools import pairwise, permutations

import numpy as np
import pytest
import torch

from cryingan.metrics.sample_distance import SampleDistance, sample_distance
from cryingan.structures.crystals import Crystals
from tests.support.metric_tester import check_metric

CELL = np.array([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.0, 0.5, 7.0]])
SPECIES = ("Li", "O", "Li", "Li", "O")


def structures(number, seed=0):
    return Crystals(np.random.default_rng(seed).uniform(size=(number, 5, 3)), CELL, SPECIES)


def test_a_collapse_is_near_zero_however_atoms_are_numbered():
    one, random = structures(1).fractional[0], np.random.default_rng(1)
    lithium, oxygen = np.array([0, 2, 3]), np.array([1, 4])
    shuffled = np.empty((8, 5, 3))
    for copy in shuffled:
        copy[lithium], copy[oxygen] = one[random.permutation(lithium)], one[random.permutation(oxygen)]
    assert sample_distance(Crystals(shuffled, CELL, SPECIES)) == pytest.approx(0, abs=1e-6)
    assert sample_distance(structures(8)) > 1


def test_every_permutation():
    """The least of all ways to pair atoms, through every nearby image."""
    samples, distances = structures(4), []
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    for one, other in pairwise(samples.fractional):
        apart = (one[:, None, None] - other[None, :, None] + images) @ CELL
        squared = (apart**2).sum(axis=-1).min(axis=-1)
        least = [
            min(sum(squared[i, j] for i, j in zip(atoms, order, strict=True)) for order in permutations(atoms))
            for atoms in ([0, 2, 3], [1, 4])
        ]
        distances.append(np.sqrt(sum(least) / 5))
    assert sample_distance(samples) == pytest.approx(np.mean(distances), rel=1e-12)


def test_the_first_structures_count():
    samples = structures(6)
    assert sample_distance(samples, most=3) == sample_distance(samples[:3]) != sample_distance(samples)


@pytest.mark.parametrize("number", [0, 1])
def test_a_single_structure_has_none(number):
    assert np.isnan(sample_distance(structures(number)))


def test_metric_is_the_distance_of_all_at_once():
    samples = structures(7)
    expected = torch.tensor(sample_distance(samples), dtype=torch.float64)
    parts = torch.from_numpy(samples.fractional).split([1, 4, 2])
    check_metric(lambda: SampleDistance(samples[:0]), parts, expected)
