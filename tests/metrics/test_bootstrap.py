"""Bootstrap intervals and distances of means against a plain loop over samples and SciPy."""

import numpy as np
import pytest
from scipy.spatial import distance as scipy_distance

from cryingan.metrics.bootstrap import (
    REPETITIONS,
    SEED,
    distance_of_means,
    mean_interval,
    median_interval,
    pivotal_interval,
    resampled_counts,
)

ROUNDING = 1e-12


def rows(structures=9, features=4, seed=0):
    return np.random.default_rng(seed).normal(2.0, 1.0, size=(structures, features))


def ends(interval):
    return np.array([interval.value, interval.low, interval.high])


def loop(generated, statistic):
    """Value and ends as docs/dismai_bench.md words them, one sample at a time."""
    random = np.random.default_rng(7)
    indices = np.arange(len(generated))
    samples = []
    for _ in range(1000):
        drawn = random.choice(indices, size=len(generated), replace=True)
        samples.append(statistic(generated[drawn].mean(axis=0)))
    value = statistic(generated.mean(axis=0))
    low_error = np.percentile(samples, 97.5, axis=0) - value
    high_error = value - np.percentile(samples, 2.5, axis=0)
    return np.array([value, value - low_error, value + high_error])


def test_first_draws():
    counts = resampled_counts(5)[:3]
    drawn = ([4, 3, 3, 4, 2], [3, 4, 1, 0, 1], [1, 4, 4, 0, 2])
    np.testing.assert_array_equal(counts, [np.bincount(sample, minlength=5) for sample in drawn])


@pytest.mark.parametrize("structures", [1, 2, 3, 9, 40])
@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_distance_is_that_of_a_loop(structures, kind):
    generated, reference = rows(structures), rows(6, seed=1)
    measure = {"euclidean": scipy_distance.euclidean, "cosine": scipy_distance.cosine}[kind]
    expected = loop(generated, lambda mean: measure(mean, reference.mean(axis=0)))
    result = distance_of_means(generated, reference, kind)
    np.testing.assert_allclose(ends(result), expected, rtol=0, atol=ROUNDING)
    assert (result.structures, result.reason) == (structures, "")
    mean_only = distance_of_means(generated, reference.mean(axis=0)[None], kind)
    np.testing.assert_allclose(ends(mean_only), expected, rtol=0, atol=ROUNDING)


def test_curves_and_numbers_have_intervals_point_by_point():
    generated = rows(12, 6).reshape(12, 2, 3)
    expected = loop(generated, lambda mean: mean)
    np.testing.assert_allclose(ends(mean_interval(generated)), expected, rtol=0, atol=ROUNDING)
    single = mean_interval(generated[:, 0, 0])
    assert isinstance(single.value, float)
    np.testing.assert_allclose(ends(single), expected[:, 0, 0], rtol=0, atol=ROUNDING)


def test_any_statistic_of_the_mean():
    expected = loop(rows(), np.sum)
    result = pivotal_interval(rows(), lambda means: means.sum(axis=-1))
    np.testing.assert_allclose(ends(result), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distance_to_itself_is_exactly_zero(kind, dtype):
    same = rows(7).astype(dtype)
    result = distance_of_means(same, same.copy(), kind)
    assert result.value == 0
    assert result.low <= result.high <= 0, "bootstrap samples are only farther away"
    zeros = np.zeros((3, 5), dtype=dtype)
    assert distance_of_means(zeros, zeros, kind).value == 0


def test_one_feature_off_is_its_length():
    reference = rows()
    generated = reference + np.array([0, 0.3, 0, 0])
    assert distance_of_means(generated, reference).value == pytest.approx(0.3, abs=ROUNDING)


def test_structures_without_a_row_are_left_out_and_nothing_is_nan_with_a_reason():
    generated, reference = rows(), rows(5, seed=1)
    holes = np.insert(generated, [0, 4, 9], np.nan, axis=0)
    partly = np.insert(reference, 2, [1, 2, np.nan, 3], axis=0)
    result = distance_of_means(holes, partly)
    np.testing.assert_array_equal(ends(result), ends(distance_of_means(generated, reference)))
    assert result.structures == len(generated)
    for side in (np.full((3, 4), np.nan), np.empty((0, 4)), np.empty(0)):
        nothing = distance_of_means(side, reference)
        assert np.isnan(ends(nothing)).all()
        assert nothing.structures == 0
        assert "no structure" in nothing.reason
    missing = distance_of_means(generated, np.full((2, 4), np.nan))
    assert np.isnan(missing.value)
    assert "no reference structure" in missing.reason
    assert np.isnan(mean_interval(np.empty((0, 7))).value).all()


def test_cosine_of_a_zero_mean_is_not_defined():
    result = distance_of_means(np.zeros((3, 4)), rows(), "cosine")
    assert np.isnan(ends(result)).all()
    assert "not defined" in result.reason
    with pytest.raises(ValueError, match="manhattan"):
        distance_of_means(rows(), rows(), "manhattan")


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_median_is_that_of_every_drawn_sample(count):
    values = np.random.default_rng(1).normal(size=count).round(1)
    interval = median_interval(np.append(values, np.nan))
    random = np.random.default_rng(SEED)
    medians = [np.median(random.choice(np.sort(values), size=count)) for _ in range(REPETITIONS)]
    low, high = np.percentile(medians, [2.5, 97.5])
    centre = np.median(values)
    expected = (centre, 2 * centre - high, 2 * centre - low)
    np.testing.assert_allclose((interval.value, interval.low, interval.high), expected, rtol=1e-12)
    assert interval.structures == count


def test_median_of_nothing_says_why():
    interval = median_interval(np.array([np.nan]))
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert interval.reason == "no structure to take a median of"
