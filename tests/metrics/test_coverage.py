"""Precision, recall, density, coverage: by loops, and on sets whose values are known before."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cryingan.errors import CryinGANError
from cryingan.metrics.coverage import (
    ceiling,
    coverage,
    intrinsic_dimension,
    mean_coverage,
    nearest_distances,
    neighbor_radius,
)


def points(number, dimension=3, seed=0):
    return np.random.default_rng(seed).normal(size=(number, dimension))


def compare(samples, reference, **settings):
    return coverage(cdist(samples, reference), cdist(samples, samples), cdist(reference, reference), **settings)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_plain_loops(k):
    samples, reference = points(30), 0.5 + points(40, seed=1)
    radius = [sorted(np.linalg.norm(one - other) for other in reference)[k] for one in reference]
    own = [sorted(np.linalg.norm(one - other) for other in samples)[k] for one in samples]
    balls = [[np.linalg.norm(s - r) <= d for r, d in zip(reference, radius, strict=True)] for s in samples]
    recalled = [any(np.linalg.norm(s - r) <= d for s, d in zip(samples, own, strict=True)) for r in reference]
    found = compare(samples, reference, k=k)
    assert found.precision == pytest.approx(np.mean([any(row) for row in balls]))
    assert found.density == pytest.approx(np.mean([sum(row) for row in balls]) / k)
    assert found.coverage == pytest.approx(np.mean([any(column) for column in zip(*balls, strict=True)]))
    assert found.recall == pytest.approx(np.mean(recalled))


def test_a_copy_has_everything():
    found = compare(points(100), points(100))
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(1, abs=0.35)  # each point is in k balls of others in the mean, and in its own


def test_a_collapse_is_precise_and_covers_little():
    reference = points(100)
    found = compare(reference[:1] + 1e-3 * points(100, seed=1), reference)
    assert found.precision == 1
    assert found.recall <= 0.02
    assert found.coverage < 0.2


def test_noise_is_wide_and_not_precise():
    found = compare(10 * points(100, seed=1), points(100))
    assert found.precision < 0.1
    assert found.recall > 0.9


def test_the_other_half_is_the_ceiling():
    every = points(400)
    within = cdist(every, every)
    top = ceiling(within, 100)
    half = mean_coverage(within[:200, 200:], within[:200, :200], within[200:, 200:], 100)
    assert top.recall == pytest.approx(half.recall, abs=0.05)
    assert top.coverage == pytest.approx(half.coverage, abs=0.05)
    assert 0.8 < top.precision < 1
    assert top.density == pytest.approx(1, abs=0.1)
    shifted = every[:200] + 0.7
    low = mean_coverage(cdist(shifted, every[200:]), cdist(shifted, shifted), within[200:, 200:], 100)
    assert low.coverage < top.coverage
    assert low.precision < top.precision


def test_nearest_tells_copies_from_new_structures():
    every, fresh = points(200), points(200, seed=1)
    assert nearest_distances(cdist(every[:50], every)).max() == 0
    assert nearest_distances(cdist(fresh, every)).mean() > 0.1


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_of_normal_points_in_a_larger_space(dimension):
    embedded = points(1000, dimension) @ np.random.default_rng(1).normal(size=(dimension, 20))
    assert intrinsic_dimension(cdist(embedded, embedded)) == pytest.approx(dimension, rel=0.15)


def test_no_dimension_without_distances():
    assert np.isnan(intrinsic_dimension(np.zeros((2, 2))))
    assert np.isnan(intrinsic_dimension(np.zeros((9, 9))))
    assert np.isnan(intrinsic_dimension(np.zeros((0, 0))))


def test_structures_that_coincide_count_once_for_the_dimension():
    every = points(200)
    twice = np.concatenate([every, every[:50], every[:50]])
    assert intrinsic_dimension(cdist(twice, twice)) == intrinsic_dimension(cdist(every, every))


@pytest.mark.parametrize("kept", [0, 1, 1.5, -0.1])
def test_all_ratios_have_no_slope(kept):
    with pytest.raises(CryinGANError, match=f"kept={kept}: .* more than 0 and less than 1"):
        intrinsic_dimension(cdist(points(20), points(20)), kept)


def test_too_few_structures_are_refused():
    some = points(5)
    with pytest.raises(CryinGANError, match="5 structures have no 5 neighbours"):
        compare(some, some)
    with pytest.raises(CryinGANError, match="no two parts of 3"):
        ceiling(cdist(some, some), 3)
    with pytest.raises(CryinGANError, match="6 structures on each side are wanted; there are 5 and 5"):
        mean_coverage(*[cdist(some, some)] * 3, 6)


def test_radius_leaves_the_structure_itself_out():
    line = np.array([[0.0], [1.0], [3.0]])
    assert neighbor_radius(cdist(line, line), 1).tolist() == [1, 1, 2]
