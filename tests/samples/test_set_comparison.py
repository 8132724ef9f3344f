"""Relaxed samples beside the set: a copy of it, a collapse, its other half, noise."""

import numpy as np
import pytest

from cryingan.energies.scale import Energies
from cryingan.metrics.region_reference import RegionReference
from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.relax import RelaxationResults
from cryingan.relaxation.repair import RepairLog
from cryingan.samples.report import Outcome, comparison_line, summary_line
from cryingan.samples.set_comparison import SetComparison, comparison_keys
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals
from tests.support.shared_sites import CELL, SCATTER, SPECIES, interfaces

CARD = PotentialCard("pair", "0", ())
THRESHOLDS = (0.0, -1.0)


def energies(structures):
    """An energy that tells structures apart: from where the disordered atom is."""
    return 10 * structures.fractional[:, 4, 0] - 4


@pytest.fixture(scope="module")
def comparison():
    training = interfaces(100, 0)
    random = np.append(energies(random_crystals(299, SPECIES, CELL)), np.nan)
    return SetComparison("J/m^2", energies(training), random, RegionReference.of(training))


def outcome(relaxed, lost=0):
    """As if these had relaxed, and so many more had not."""
    count = np.arange(len(relaxed) + lost)
    converged = count < len(relaxed)
    last = relaxed.fractional[np.minimum(count, len(relaxed) - 1)]
    samples = Crystals(last, relaxed.cell, relaxed.species)
    zeros, reasons = np.zeros(len(count)), np.where(converged, "converged", "max_steps")
    results = RelaxationResults(count, zeros, zeros, zeros, zeros, zeros, converged, reasons, samples, CARD)
    found = np.where(converged, energies(samples), np.nan)
    return Outcome(samples, RepairLog(count, zeros, converged), results, Energies(found, "J/m^2", CARD), THRESHOLDS)


def test_a_copy_of_the_set(comparison):
    values = comparison.values(outcome(interfaces(100, 0)))
    assert values["relax/precision"] == values["relax/recall"] == values["relax/f1"] == values["relax/coverage"] == 1
    assert values["relax/nearest_training"] == pytest.approx(0, abs=1e-6)
    assert values["relax/kolmogorov_smirnov"] == 0
    assert values["relax/distinct_minima"] > 0.9


def test_a_collapse_onto_one_low_structure(comparison):
    training = interfaces(100, 0)
    made = outcome(training[np.full(50, energies(training).argmin())])
    values = comparison.values(made)
    assert made.values()["relax/fraction_below_minus_1"] == 1, "a fraction is won by it"
    assert values["relax/distinct_minima"] == values["relax/distinct_below_minus_1"] == 1 / 50
    assert values["relax/unseen_minima"] == 0
    assert values["relax/recall"] < 0.05
    assert values["relax/f1"] < 0.1
    assert values["relax/coverage"] < 0.2
    assert values["relax/distance"] == pytest.approx(0, abs=1e-6)
    assert values["relax/nearest_training"] == pytest.approx(0, abs=1e-6)
    assert values["relax/kolmogorov_smirnov"] > 0.9


def test_other_structures_of_the_kind_are_near_the_values_of_the_set(comparison):
    values, top = comparison.values(outcome(interfaces(50, 1))), comparison.of_training(50, THRESHOLDS)
    for name in ("precision", "recall", "f1", "coverage"):
        assert values[f"relax/{name}"] == pytest.approx(top[f"relax/{name}"], abs=0.12)
    assert values["relax/nearest_training"] == pytest.approx(top["relax/nearest_training"], rel=0.4)
    assert values["relax/kolmogorov_smirnov"] < 0.25
    share = outcome(interfaces(50, 1)).values()["relax/fraction_below_minus_1"]
    assert share == pytest.approx(top["relax/fraction_below_minus_1"], abs=0.15)


def test_noise_has_nothing_of_the_set():
    scatter = np.minimum(SCATTER, 0.35)
    comparison = SetComparison("J/m^2", region=RegionReference.of(interfaces(60, 0, scatter)))
    away = Crystals(interfaces(30, 1, scatter).fractional + np.array([0, 0, 0.25]), CELL, SPECIES)  # by 3 A
    values = comparison.values(outcome(away))
    assert {values[f"relax/{name}"] for name in ("precision", "f1", "density", "coverage")} == {0}
    assert values["relax/nearest_training"] > 1


def test_samples_that_did_not_converge_count(comparison):
    whole, half = (comparison.values(outcome(interfaces(100, 1)[:n], 100 - n)) for n in (100, 50))
    assert half["relax/precision"] == pytest.approx(whole["relax/precision"] / 2, abs=0.1)
    assert half["relax/f1"] < whole["relax/f1"]
    assert half["relax/distinct_minima"] == pytest.approx(whole["relax/distinct_minima"] / 2, abs=0.05)
    assert half["relax/kolmogorov_smirnov"] >= 0.5


def test_quantiles_and_keys(comparison):
    made, key = outcome(interfaces(20, 1)), "relax/fraction_below_random_10"
    values = comparison.values(made)
    assert set(values) == comparison_keys(THRESHOLDS)
    energy = comparison.quantiles[key]
    assert (comparison.random <= energy).sum() == 30
    assert values[key] == np.mean(made.energies.values <= energy)
    assert 0 <= values[f"{key}_low"] <= values[key] <= values[f"{key}_high"] <= 1


def test_where_nothing_is_known_only_minima_are_counted():
    values = SetComparison("eV/atom").values(outcome(interfaces(20, 1)))
    counted = ("distinct_minima", "unseen_minima", "distinct_below_0", "distinct_below_minus_1")
    assert set(values) == {f"relax/{name}" for name in counted}
    assert SetComparison("eV/atom").of_training(20, THRESHOLDS) == {}
    assert SetComparison("eV/atom", placed=False).values(outcome(interfaces(20, 1))) == {}


def test_lines(comparison):
    made = outcome(interfaces(20, 1))
    training = comparison.of_training(20, THRESHOLDS)
    values = made.values() | comparison.values(made)
    summary = {"values": values, "training": training, "samples": 20, "unit": "J/m^2"}
    assert f"(training set: {training['relax/fraction_below_0']:.1%}, " in summary_line(summary)
    cost = {"relax/steps": 73.4, "relax/energy_drop": 0.2751}
    assert summary_line({**summary, "values": values | cost}).endswith(", 73 steps and 275 meV/atom lower")
    assert "steps" not in summary_line(summary), "nothing was evaluated"
    recall, best = values["relax/recall"], training["relax/recall"]
    assert f"recall {recall:.3g} ({best:.3g})" in comparison_line(summary)
    assert comparison_line({"values": made.values(), "samples": 20}) is None, "of an earlier version"
