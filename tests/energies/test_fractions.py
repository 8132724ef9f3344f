"""Fractions of generated structures below a threshold, and their intervals."""

import math

import numpy as np
import pytest

from cryingan.energies.fractions import fractions_below, quantile_thresholds
from cryingan.energies.scale import Energies, EnergyScale
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard

PAPER = PotentialCard("paper", "0" * 64, ("Li",))


def test_fractions_are_of_generated_structures():
    scale = EnergyScale(-5.0, 10.0, "J/m^2", PAPER)
    relaxed = scale.normalise(np.array([-5.1, -5.0, -5.03, -9.0, -4.9]), PAPER, np.array([1, 1, 1, 0, 1], dtype=bool))
    fractions = fractions_below(relaxed.values, 10, thresholds=(0, -0.2))
    assert fractions[0].value == 0.3  # at 0 counts; unconverged and missing ones do not
    assert fractions[-0.2].value == 0.2
    assert fractions == fractions_below(relaxed.values, 10, thresholds=(0, -0.2))
    nothing = fractions_below(np.array([]), 3)
    assert [nothing[threshold].value for threshold in (0.0, -0.2)] == [0.0, 0.0]
    for wrong in (0, 4):
        with pytest.raises(CryinGANError, match="n_generated"):
            fractions_below(relaxed.values, wrong)


@pytest.mark.parametrize("below", [0, 1, 5, 30, 99, 100])
def test_interval_covers_what_such_samples_may_come_from(below):
    """Its ends are the fractions from which the observed one is 1.96 standard deviations away."""
    energies = Energies(np.repeat([-1.0, 1.0], [below, 100 - below]), "J/m^2", PAPER)
    fraction = fractions_below(energies.values, 100)[0.0]
    assert 0 <= fraction.low <= fraction.value <= fraction.high <= 1
    assert fraction.high - fraction.low > 0.03, "no interval of no width, not for 0 of 100 either"
    for end in (fraction.low, fraction.high):
        deviation = abs(end - below / 100) / math.sqrt(end * (1 - end) / 100) if 0 < end < 1 else 1.959964
        assert deviation == pytest.approx(1.959964, abs=1e-5)


def test_more_samples_narrow_the_interval():
    widths = []
    for n in (10, 100, 1000):
        fraction = fractions_below(np.repeat([-1.0, 1.0], [n // 10, n - n // 10]), n)[0.0]
        widths.append(fraction.high - fraction.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[2] == pytest.approx(10, rel=0.3)


def test_quantiles_of_random_structures_have_so_many_at_or_below():
    random = np.random.default_rng(1).normal(size=714)
    random[:200] = np.nan  # could not be relaxed: above all others
    found = quantile_thresholds(random)
    assert {percent: int((random <= energy).sum()) for percent, energy in found.items()} == {50: 357, 10: 71, 1: 7}
    random[:400] = np.nan
    assert set(quantile_thresholds(random)) == {10, 1}  # half of them have no energy
    assert set(quantile_thresholds(np.arange(99.0))) == {50, 10}  # a single one would be the lowest
    assert quantile_thresholds(np.array([])) == {}
