"""FIRE and conjugate gradients against ASE, in batches, and what can go wrong with a structure."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import FIRE
from ase.optimize.sciopt import SciPyFminCG

from cryingan.potentials.potential import load_potential
from cryingan.structures.crystals import Crystals
from tests.support.potentials import CountingPotential
from tests.support.relaxations import SAME_ENERGY, SAME_STEP, assert_same, distance, here, rattled


class PairCalculator(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energies, forces = load_potential("pair").evaluate([self.atoms])
        self.results = {"energy": energies[0], "forces": forces[0]}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {
            "dt": 0.3,
            "maxstep": 0.05,
            "dtmax": 0.4,
            "nmin": 2,
            "finc": 1.3,
            "fdec": 0.4,
            "astart": 0.3,
            "fa": 0.9,
            "a": 0.2,
        },
    ],
    ids=["defaults", "all changed"],
)
def test_fire_is_ases_fire_step_by_step(pair, parameters):
    crystals = rattled(1, stdev=0.4)
    [atoms] = crystals.to_ase()
    atoms.calc = PairCalculator()
    rename = {"nmin": "Nmin"}
    optimizer = FIRE(atoms, logfile=None, **{rename.get(key, key): value for key, value in parameters.items()})
    path = []
    optimizer.attach(lambda: path.append((atoms.get_positions(), atoms.get_potential_energy())))
    optimizer.run(fmax=1e-8, steps=80)
    assert len(path) == 81

    for steps in (0, 1, 2, 3, 7, 8, 9, 15, 30, 50, 80):
        results = here(crystals, pair, fmax=1e-8, max_steps=steps, fire=parameters)
        expected = Crystals.from_ase([Atoms(atoms.symbols, path[steps][0], cell=atoms.cell, pbc=True)])
        assert distance(results.crystals, expected) < SAME_STEP
        assert results.energy_final[0] == pytest.approx(path[steps][1], abs=SAME_STEP)
        assert (results.steps[0], results.evaluations[0], results.reason[0]) == (steps, steps + 1, "max_steps")


@pytest.mark.parametrize(("name", "ase_optimizer"), [("fire", FIRE), ("cg", SciPyFminCG)])
def test_converged_like_ase(pair, name, ase_optimizer):
    crystals = rattled(3)
    results = here(crystals, pair, optimizer=name, fmax=0.03)
    for i, atoms in enumerate(crystals.to_ase()):
        atoms.calc = PairCalculator()
        assert results.energy_initial[i] == pytest.approx(atoms.get_potential_energy(), abs=SAME_STEP)
        optimizer = ase_optimizer(atoms, logfile=None)
        assert optimizer.run(fmax=0.03)
        assert results.energy_final[i] == pytest.approx(atoms.get_potential_energy(), abs=SAME_STEP)
        assert results.fmax[i] == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max(), abs=SAME_STEP)
        assert results.steps[i] == optimizer.nsteps
    assert results.converged.all()
    again = here(results.crystals, pair, optimizer=name, fmax=0.03)
    assert again.steps.tolist() == [0, 0, 0]
    assert again.evaluations.tolist() == [1, 1, 1]
    assert again.converged.all()


def test_cg_counts_evaluations_and_steps(pair):
    results = here(rattled(2), CountingPotential(pair), optimizer="cg", max_steps=2, fmax=1e-6)
    assert results.reason.tolist() == ["max_steps"] * 2
    assert results.steps.tolist() == [2, 2]
    assert (results.evaluations > 2).all()


def test_the_papers_verdict_tolerates_a_little_more_than_fmax(pair):
    """Dismai-Bench discards what ends above fmax + 0.001 eV/Angstrom, although it continues until fmax is reached."""
    for name in ("cg", "fire"):
        path = [here(rattled(1), pair, optimizer=name, max_steps=steps, fmax=1e-8).fmax[0] for steps in range(9)]
        steps = int(np.argmin(path))
        ended = path[steps]
        assert ended < min(path[:steps]) - 2e-3, "nothing before would have ended it"
        for short, verdict in ((5e-4, "converged"), (2e-3, "max_steps")):
            results = here(rattled(1), pair, optimizer=name, max_steps=steps, fmax=ended - short)
            assert results.fmax[0] == pytest.approx(ended, abs=SAME_STEP), "it goes as far as it may in any case"
            assert results.steps[0] == steps
            assert results.reason[0] == (verdict if name == "cg" else "max_steps")


def test_cg_that_finds_nothing_lower_is_stalled(pair):
    def uphill(energies, forces, frames, call):
        forces[0] *= -1

    results = here(rattled(1), CountingPotential(pair, uphill), optimizer="cg")
    assert results.reason.tolist() == ["stalled"]
    assert not results.converged[0]


def test_batch_equals_singles_in_any_order(pair):
    crystals = rattled(7)
    together = here(crystals, pair)
    assert len(set(together.steps)) > 3
    pair.atoms_per_batch = 24
    assert_same(together, here(crystals, pair), SAME_ENERGY)
    backwards = here(crystals[::-1], pair, numbers=range(6, -1, -1))
    assert_same(together, backwards, SAME_ENERGY)
    assert distance(together.crystals, backwards.crystals) < 1e-6
    for i in range(7):
        single = here(crystals[[i]], pair)
        assert single.energy_final[0] == pytest.approx(together.energy_final[i], abs=SAME_ENERGY)


def test_waiting_structures_take_the_place_of_converged_ones():
    potential = CountingPotential(load_potential("pair", atoms_per_batch=24))
    results, sizes = here(rattled(7), potential), potential.batches
    assert sum(sizes) == results.evaluations.sum()
    full = sizes.count(3)
    assert sizes == sorted(sizes, reverse=True)
    assert full > len(sizes) / 2


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
@pytest.mark.parametrize("what", ["energy", "force", "infinite"])
def test_nan_in_one_structure_touches_no_other(pair, optimizer, what):
    crystals = rattled(5)
    starts = np.array([atoms.positions for atoms in crystals.to_ase()])
    seen = []

    def spoil(energies, forces, frames, call):
        for i, frame in enumerate(frames):
            if np.linalg.norm(starts - frame.positions, axis=(1, 2)).argmin() == 2:
                seen.append(i)
                if len(seen) > 3 and what == "energy":
                    energies[i] = np.nan
                elif len(seen) > 3:
                    forces[i][3, 1] = np.nan if what == "force" else np.inf

    results = here(crystals, CountingPotential(pair, spoil), optimizer=optimizer)
    clean = here(crystals, pair, optimizer=optimizer)
    others = [0, 1, 3, 4]
    assert results.reason[2] == "not_finite"
    assert results.failed.tolist() == [False, False, True, False, False]
    assert np.isfinite([results.energy_initial[2], results.energy_final[2], results.fmax[2]]).all()
    assert np.isfinite(results.crystals.fractional).all()
    assert results.energy_final[others].tolist() == clean.energy_final[others].tolist()
    assert results.crystals.fractional[others].tolist() == clean.crystals.fractional[others].tolist()


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
def test_atoms_that_end_on_one_spot_are_no_minimum(pair, optimizer):
    """A potential that was trained on nothing like it may hold two atoms on one spot, at no force."""
    crystals = rattled(2)

    starts = [atoms.positions for atoms in crystals.to_ase()]

    def springs(energies, forces, frames, call):
        """Two atoms of each structure on a spring: of rest length 0.3 in the first, 2 in the second."""
        for i, frame in enumerate(frames):
            rest = (0.3, 2.0)[int(np.argmin([np.linalg.norm(start - frame.positions) for start in starts]))]
            apart = frame.get_distance(0, 1, mic=True, vector=True)
            length = np.linalg.norm(apart)
            energies[i], forces[i][:] = 2.5 * (length - rest) ** 2, 0
            forces[i][0] = 5 * (1 - rest / length) * apart
            forces[i][1] = -forces[i][0]

    results = here(crystals, CountingPotential(pair, springs), optimizer=optimizer)
    assert results.reason.tolist() == ["too_close", "converged"]
    assert results.failed.tolist() == [True, False]
    assert results.converged.tolist() == [False, True]
    assert (results.fmax < 0.051).all()


def test_faults_at_the_start(pair, tmp_path):
    crystals = rattled(4)
    crystals.fractional[0, 3] = crystals.fractional[0, 5]
    crystals.fractional[1, 4] = [0.001, 0.5, 0.5]
    crystals.fractional[1, 6] = [0.999, 0.5, 0.5]
    crystals.fractional[2, 0, 0] = np.nan
    results = here(crystals, pair, output=tmp_path)
    assert results.reason.tolist() == ["too_close", "too_close", "not_finite", "converged"]
    assert results.failed.tolist() == [True, True, True, False]
    assert results.evaluations.tolist()[:3] == [0, 0, 0]
    assert np.isnan(results.energy_final[:3]).all()
    assert_same(results, here(crystals, pair, output=tmp_path))


@pytest.mark.parametrize("bound", [{"max_force": 0.5}, {"max_energy": 0.1}, {"max_displacement": 0.01}])
def test_bounds_of_explosion(pair, bound):
    results = here(rattled(2), pair, **bound)
    assert results.reason.tolist() == ["exploded", "exploded"]
    assert results.failed.all()
    assert not results.converged.any()


def test_flying_atom_is_exploded_and_stops(pair):
    def blow(energies, forces, frames, call):
        forces[0][0] = [50.0, 0, 0]

    results = here(rattled(3), CountingPotential(load_potential("pair", atoms_per_batch=8), blow))
    assert set(results.reason) == {"exploded"}
    assert (results.steps < 100).all()


@pytest.mark.parametrize("optimizer", ["fire", "cg"])
def test_time_budget(monkeypatch, optimizer):
    clock = SimpleNamespace(now=1000.0, time=lambda: clock.now)
    monkeypatch.setattr("cryingan.relaxation.relax.time", clock)
    monkeypatch.setattr("cryingan.relaxation.optimizers.time", clock)

    def take_a_second(*_):
        clock.now += 1

    potential = CountingPotential(load_potential("pair", atoms_per_batch=8), take_a_second)
    results = here(rattled(20), potential, optimizer=optimizer, time_budget=39.5, fmax=0.5)
    assert len(potential.batches) == 40
    assert results.reason.tolist() == sorted(results.reason)
    assert set(results.reason) == {"converged", "time"}
    assert np.isnan(results.energy_final[-1])
