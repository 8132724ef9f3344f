"""Energy statistics against pandas, the paper's constants and counting by hand."""

import numpy as np
import pandas
import pytest

from cryingan.energies.scale import EnergyScale, interface_area, interface_factor
from cryingan.metrics.bootstrap import mean_interval
from cryingan.metrics.energy_statistics import (
    RANGES,
    energy_histogram,
    histogram_edges,
    kolmogorov_smirnov,
    mean_and_deviation,
)
from cryingan.potentials.card import PotentialCard

PAPER = PotentialCard("paper", "0" * 64, ("Li",))
GAMMA = np.radians(75.6674)
PAPER_CELL = np.array([[12.46997, 0, 0], [17.19967 * np.cos(GAMMA), 17.19967 * np.sin(GAMMA), 0], [0, 0, 30.0]])


def paper_energies(per_atom):
    scale = EnergyScale(-4.78, interface_factor(264, interface_area(PAPER_CELL)), "J/m^2", PAPER)
    return scale.normalise(np.asarray(per_atom), PAPER).values


@pytest.mark.parametrize(
    ("benchmark", "step", "edges"), [("interface", 0.05, 21), ("silicon", 5, 31), ("alloy", 0.5, 41)]
)
def test_edges(benchmark, step, edges):
    exact, theirs = histogram_edges(benchmark), histogram_edges(benchmark, compatible=True)
    low, high, _ = RANGES[benchmark]
    assert len(exact) == len(theirs) == edges
    assert (exact[0], exact[-1]) == (low, high)
    np.testing.assert_allclose(np.diff(exact), step, rtol=1e-12)
    np.testing.assert_allclose(theirs, exact, rtol=0, atol=1e-15)
    assert 0 in exact
    if benchmark == "interface":
        assert theirs[-1] == 0.4999999999999998


@pytest.mark.parametrize("benchmark", list(RANGES))
@pytest.mark.parametrize("compatible", [False, True])
def test_histogram_is_that_of_pandas(benchmark, compatible):
    edges = histogram_edges(benchmark, compatible)
    random = np.random.default_rng(0)
    width = edges[-1] - edges[0]
    values = np.concatenate([random.uniform(edges[0] - width, edges[-1] + width, size=500), edges, [1e6, -1e6]])
    binned = pandas.cut(values, edges, include_lowest=True).value_counts().to_numpy()
    result = energy_histogram(values, edges, compatible)
    total = binned.sum() if compatible else len(values)
    np.testing.assert_allclose(result.shares, 100 * binned / total, rtol=1e-13)
    assert result.below == pytest.approx(100 * (values < edges[0]).sum() / total)
    assert result.above == pytest.approx(100 * (values > edges[-1]).sum() / total)
    whole = result.shares.sum() + (0 if compatible else result.below + result.above)
    assert whole == pytest.approx(100)
    assert (result.structures, result.missing) == (len(values), 0)
    shuffled = energy_histogram(random.permutation(values), edges, compatible)
    np.testing.assert_array_equal(shuffled.shares, result.shares)


def test_paper_constants_reach_the_right_bins():
    energies = paper_energies([-4.80, -4.78, -4.77, -4.0])
    np.testing.assert_allclose(energies[:3], [-0.40709055503263, 0, 0.20354527751633], rtol=0, atol=1e-12)
    exact = energy_histogram(energies, histogram_edges("interface"))
    assert np.flatnonzero(exact.shares).tolist() == [1, 9, 14]
    assert (exact.shares[[1, 9, 14]] == 25).all()
    assert (exact.below, exact.above) == (0, 25)
    theirs = energy_histogram(energies, histogram_edges("interface", compatible=True), compatible=True)
    assert np.flatnonzero(theirs.shares).tolist() == [1, 10, 14], "0 J/m^2 lies above the edge at -1e-16"
    assert theirs.shares[1] == pytest.approx(100 / 3)


def test_histogram_of_little():
    edges = histogram_edges("alloy")
    result = energy_histogram([np.nan, 1.0, np.inf, -np.inf, np.nan], edges)
    assert (result.structures, result.missing) == (3, 2)
    assert (result.below, result.above) == (pytest.approx(100 / 3), pytest.approx(100 / 3))
    for nothing in ([], [np.nan]):
        result = energy_histogram(nothing, edges)
        assert np.isnan([*result.shares, result.below, result.above]).all()
        assert result.structures == 0
    outside = energy_histogram([99.0], edges, compatible=True)
    assert np.isnan(outside.shares).all()
    assert outside.structures == 1


def test_mean_and_deviation():
    steps = np.random.default_rng(1).integers(1, 300, size=20)
    mean, deviation = mean_and_deviation(steps)
    assert mean.value == pytest.approx(steps.mean())
    assert deviation == pytest.approx(steps.std())
    expected = mean_interval(steps)
    assert (mean.low, mean.high, mean.structures) == (expected.low, expected.high, 20)
    lost, deviation = mean_and_deviation(np.where(steps > 100, steps, np.nan))
    assert lost.structures == (steps > 100).sum()
    assert deviation == pytest.approx(steps[steps > 100].std())
    nothing, deviation = mean_and_deviation(np.array([np.nan]))
    assert np.isnan([nothing.value, deviation]).all()
    assert nothing.reason


@pytest.mark.parametrize(
    ("energies", "reference", "distance"),
    [
        ([1, 2, 3], [3, 2, 1], 0),
        ([1, 2, 3], [4, 5], 1),
        ([2.5], [1, 2, 3, 4], 0.5),
        ([1, 2, np.nan, np.nan], [1, 2], 0.5),  # without an energy: above all others
        ([np.nan] * 3, [1, 2], 1),
        ([np.nan] * 2, [np.nan], 0),
        ([], [1, 2], np.nan),
    ],
)
def test_kolmogorov_smirnov_by_hand(energies, reference, distance):
    found = kolmogorov_smirnov(np.array(energies, dtype=float), np.array(reference, dtype=float))
    assert found == pytest.approx(distance, nan_ok=True)


def test_kolmogorov_smirnov_by_counting():
    random = np.random.default_rng(0)
    energies, reference = random.normal(0, 1, 40), random.normal(0.3, 2, 70)
    every = np.concatenate([energies, reference])
    apart = [abs((energies <= energy).mean() - (reference <= energy).mean()) for energy in every]
    assert kolmogorov_smirnov(energies, reference) == pytest.approx(max(apart))
