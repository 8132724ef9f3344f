"""The table of ways to search: what it counts, what it costs, and that it resumes."""

import csv
import sys

import numpy as np
import pytest
from ase.optimize import FIRE

from benchmarks import search, walks
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import relax
from cryingan.structures.crystals import Crystals
from data.interface import build
from tests.support.interfaces import POTENTIAL, STRUCTURES, build_pair

CELL = np.diag([9.0, 9.0, 9.0])


@pytest.fixture(scope="module")
def potential():
    return load_potential(**POTENTIAL)


@pytest.fixture
def crystal():
    """Rock salt, 8 atoms, of which two are displaced."""
    from ase.build import bulk

    crystal = Crystals.from_ase([bulk("LiCl", "rocksalt", a=5.1, cubic=True)])
    crystal.fractional[0, [0, 3]] += 0.05
    return crystal


def test_a_walk_of_one_structure_is_its_relaxation(potential, crystal):
    walk = walks.sampled_walk(
        lambda chunk: Crystals(np.repeat(crystal.fractional, 16, 0), crystal.cell, crystal.species), potential, 3
    )
    ended = relax(crystal, potential, walks.HOW)
    assert walk.energies == pytest.approx(ended.energy_final / 8)
    assert walk.evaluations == ended.evaluations
    np.testing.assert_allclose(walk.fractional, ended.crystals.fractional, atol=1e-9)
    assert walk.seconds[0] > 0


def test_basin_hopping_moves_some_atoms_and_counts_all_it_evaluates(potential, crystal, monkeypatch):
    calls, evaluate = [], potential.evaluate
    monkeypatch.setattr(potential, "evaluate", lambda atoms: calls.append(len(atoms)) or evaluate(atoms))
    moved = np.arange(8) < 2
    made = []

    def hop(start, number):
        made.append(walks.RegionHopping(start, moved, potential, 4, [1, number], dr=0.4, temperature=0.1))
        return made[-1]

    walk = walks.hopping_walk(hop, lambda chunk: crystal[[0] * 16], 0)
    assert len(walk.energies) == 4
    assert walk.evaluations.sum() == len(calls)
    assert set(calls) == {1}
    positions = np.zeros((8, 3))
    trial = made[0].move(positions)
    assert (trial[2:] == 0).all()
    assert 0 < np.abs(trial[:2]).max() <= 0.4
    for energy, fractional in zip(walk.energies, walk.fractional, strict=True):
        [atoms] = Crystals(fractional[None], crystal.cell, crystal.species).to_ase()
        [found], [forces] = evaluate([atoms])
        assert energy == pytest.approx(found / 8, abs=1e-6)
        assert np.linalg.norm(forces, axis=1).max() < walks.HOW.fmax
    again = walks.hopping_walk(hop, lambda chunk: crystal[[0] * 16], 0)
    np.testing.assert_array_equal(again.energies, walk.energies)


def test_what_does_not_converge_does_not_count_and_ends_a_walk_at_its_start(potential, crystal, monkeypatch):
    monkeypatch.setattr(walks.ShortFire, "run", lambda self, fmax: FIRE.run(self, fmax=fmax, steps=1))

    def hop(start, number):
        return walks.RegionHopping(start, np.arange(8) < 2, potential, 4, [1, number], dr=0.4, temperature=0.1)

    walk = walks.hopping_walk(hop, lambda chunk: crystal[[0] * 16], 0)
    assert np.isnan(walk.energies).tolist() == [True]


def test_seconds_per_structure_and_their_interval():
    counts = np.array([1, 0, 1, 2] * 25)
    text = search.per_structure(np.full(100, 2.0), counts)
    value, low, high = (float(word.strip("(),")) for word in text.replace(" to", "").split())
    assert value == pytest.approx(200 / counts.sum(), rel=1e-2)
    assert low < value < high
    assert search.per_structure(np.ones(3), np.zeros(3, int)) == "none"


@pytest.fixture
def searched(tmp_path, monkeypatch, capsys):
    """Runs the command on a set of 31 atoms; returns what it prints and its CSV."""
    monkeypatch.setattr(build, "draw", lambda *_: None)
    work = build_pair(tmp_path, STRUCTURES, 0)
    capsys.readouterr()
    monkeypatch.setattr(search, "default_potential", lambda path: POTENTIAL)
    monkeypatch.setattr(walks.HOW, "fmax", 0.5)
    data = f"--data={work.parent / 'pair.extxyz.gz'}"

    def run(*given):
        command = ["search", "random", "basin_hopping", data, f"--output={tmp_path / 'found'}", "--seeds=1", *given]
        monkeypatch.setattr(sys, "argv", command)
        search.main()
        with (tmp_path / "found/search.csv").open() as file:
            return capsys.readouterr().out, list(csv.DictReader(file))

    return run


def test_the_command_counts_resumes_and_refuses_others(searched, monkeypatch):
    given = ("--evaluations=60", "--hops=2", "--thresholds", "9", "-9")
    text, rows = searched(*given)
    assert [row["search"] for row in rows] == ["random", "basin_hopping"]
    for row in rows:
        assert int(row["evaluations"]) >= 60
        assert 0 < int(row["at or below 9"]) <= int(row["relaxed"])
        assert 1 <= int(row["distinct, 9"]) <= int(row["at or below 9"])
        assert (row["at or below -9"], row["CPU s each, -9"]) == ("0", "none")
    assert text.count("\n") == 4
    for name in ("sampled_walk", "hopping_walk"):
        monkeypatch.setattr(search, name, None)  # all is there
    assert searched(*given) == (text, rows)
    with pytest.raises(CryinGANError, match=r"basin_hopping was .*'step': 1.0.*, here it is .*: give another output"):
        searched(*given, "--step=2")
