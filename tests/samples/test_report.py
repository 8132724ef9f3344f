"""Rows and pictures of relaxed samples where numbers are missing."""

import csv
import warnings
from dataclasses import replace

import numpy as np
import pytest

from cryingan.energies.scale import Energies
from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.relax import RelaxationResults
from cryingan.relaxation.repair import RepairLog
from cryingan.samples.report import Outcome, draw, write_rows
from tests.conftest import random_crystals

CELL = np.diag([7.0, 7.5, 8.0])
REASONS = ("converged", "max_steps", "too_close", "time", "exploded")


def test_values_by_hand():
    reasons = ["converged", "converged", "converged", "max_steps", "exploded", "too_close", "time", "not_finite"]
    converged = np.array([reason == "converged" for reason in reasons])
    crystals = random_crystals(10, ("Li", "O"), CELL)
    final = np.array([-3.0, -1.0, 1.0, -9.0, -9.0, np.nan, np.nan, np.nan])
    results = RelaxationResults(
        samples=np.array([0, 1, 2, 4, 5, 6, 7, 9]),
        energy_initial=final + np.array([2, 4, 6, 8, 8, 8, 8, 8]),
        energy_final=final,
        steps=np.array([10, 20, 30, 1000, 5, 0, 0, 15]),
        evaluations=np.array([11, 21, 31, 1001, 6, 0, 0, 16]),
        fmax=np.zeros(8),
        converged=converged,
        reason=np.array(reasons),
        crystals=crystals[:8],
        potential=PotentialCard("pair", "0", ()),
    )
    repairs = RepairLog(np.arange(10), np.ones(10), ~np.isin(np.arange(10), [3, 8]))
    energies = Energies(np.where(converged, final / 2, np.nan), "eV/atom", results.potential)
    values = Outcome(crystals, repairs, results, energies, (0.0, -0.5, -2.0)).values()
    assert {name: value for name, value in values.items() if not name.endswith(("low", "high"))} == {
        "relax/fraction_below_0": 0.2,
        "relax/fraction_below_minus_0_5": 0.2,
        "relax/fraction_below_minus_2": 0.0,
        "relax/failed": 0.5,  # two not repaired, three failed
        "relax/unconverged": 0.2,
        "relax/out_of_time": 0.1,
        "relax/close_pairs": 4.5,
        "relax/steps": (10 + 20 + 30 + 1000 + 5 + 15) / 6,
        "relax/energy": -0.5,
        "relax/energy_median": -0.5,
        "relax/energy_drop": 2.0,
    }


@pytest.fixture
def outcome():
    """Seven samples: five that were relaxed with every kind of end, one not repaired and one that is not finite."""
    samples = random_crystals(7, ("Li", "O"), CELL)
    samples.fractional[6, 1] = np.nan
    nan = float("nan")
    reason = np.array(REASONS)
    results = RelaxationResults(
        samples=np.arange(5),
        energy_initial=np.array([-1.0, -1.0, nan, nan, -1.0]),
        energy_final=np.array([-3.0, -2.0, nan, nan, -9e9]),
        steps=np.array([3, 9, 0, 0, 2]),
        evaluations=np.array([4, 10, 0, 0, 3]),
        fmax=np.array([0.01, 0.2, nan, nan, 1e9]),
        converged=reason == "converged",
        reason=reason,
        crystals=samples[:5],
        potential=PotentialCard("pair", "0", ()),
    )
    repairs = RepairLog(np.arange(7), np.ones(7), np.arange(7) < 5)
    energies = Energies(np.array([-1.5, nan, nan, nan, nan]), "eV/atom", results.potential)
    return Outcome(samples, repairs, results, energies, (0.0,))


def test_a_missing_number_always_has_a_reason(outcome, tmp_path):
    write_rows(outcome, tmp_path)
    text = (tmp_path / "energies.csv").read_text()
    assert "nan" not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["reason"] for row in rows] == [*REASONS, "not_repaired", "not_finite"]
    assert [bool(row["energy"]) for row in rows] == [True] + [False] * 6
    assert rows[1]["energy_per_atom"] == "-1.0", "an energy that is known is given, converged or not"
    assert (rows[2]["fmax"], rows[5]["steps"]) == ("", "")


def test_values_and_interval(outcome):
    values = outcome.values()
    assert values["relax/fraction_below_0"] == pytest.approx(1 / 7)
    assert values["relax/failed"] == pytest.approx(4 / 7)
    assert values["relax/unconverged"] == pytest.approx(2 / 7)
    assert 0 < values["relax/fraction_below_0_low"] < 1 / 7 < values["relax/fraction_below_0_high"] < 1
    assert np.isfinite(list(values.values())).all()


def test_averages_have_bootstrap_intervals_from_two_samples_on(outcome):
    values = outcome.values()
    assert {"relax/energy", "relax/energy_median", "relax/energy_drop", "relax/steps_low"} <= set(values)
    assert not {name for name in values if name.startswith("relax/energy") and name.endswith(("_low", "_high"))}
    random = np.random.default_rng(3)
    converged = np.array([True, True, False, True, True])
    results = replace(outcome.results, converged=converged, energy_final=random.normal(-3, 1, 5))
    results.energy_initial[:] = random.normal(-1, 1, 5)
    energies = random.normal(0, 1, 5)
    several = replace(outcome, results=results, energies=replace(outcome.energies, values=energies))
    values = several.values()
    drop = (results.energy_initial - results.energy_final)[converged] / 2
    samples = {"steps": results.steps[[0, 1, 4]], "energy": energies[converged], "energy_drop": drop}
    for name, of in [*samples.items(), ("energy_median", energies[converged])]:
        statistic = np.median if name == "energy_median" else np.mean
        draws = np.random.default_rng(11).choice(of, size=(20000, len(of)))
        low, high = np.percentile(statistic(draws, axis=1), [2.5, 97.5])
        value, tolerance = statistic(of), 0.1 * (high - low)
        assert values[f"relax/{name}"] == pytest.approx(value)
        assert values[f"relax/{name}_low"] == pytest.approx(2 * value - high, abs=tolerance)
        assert values[f"relax/{name}_high"] == pytest.approx(2 * value - low, abs=tolerance)
    assert several.values() == values


def test_samples_that_are_not_finite_have_no_picture(outcome, tmp_path):
    assert outcome.before_and_after(5)[1] == ["not repaired"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        draw(outcome, tmp_path, 7, 7, training=np.array([-2.0, -1.0]), random=np.array([-1.0, np.nan, 0.0]))
    assert (tmp_path / "energies.png").stat().st_size > 1000
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {f"{number:06d}.png" for number in range(6)}
    assert not list((tmp_path / "molecules").glob("000006*"))
