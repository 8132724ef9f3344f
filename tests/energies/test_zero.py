"""The zero of energies where the data card has no cut-off: that of training structures at rest."""

import json
import logging

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.optimize import FIRE

from cryingan.energies.data_card import DataCard
from cryingan.energies.fractions import fractions_below
from cryingan.energies.training_energies import structures_hash
from cryingan.energies.zero import _warn_of_one_minimum, zero_by_rule
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.locks import LOCK
from cryingan.storage.records import RecordFile
from cryingan.structures.crystals import Crystals
from tests.conftest import random_crystals
from tests.support.potentials import CountingPotential

CELL, SPECIES = np.diag([8.0, 8.5, 9.0]), ("Cu",) * 6
LJ = {"sigma": 2.2, "epsilon": 0.3, "rc": 4.0, "smooth": True}
SETTINGS = RelaxSettings(backend="serial", progress=False)


@pytest.fixture(autouse=True)
def _warnings_alone(caplog):
    """Scripts that ran before in the same process may have asked for more."""
    caplog.set_level(logging.WARNING, "cryingan")


@pytest.fixture(scope="module")
def potential():
    return load_potential("ase", calculator="ase.calculators.lj.LennardJones", arguments=LJ)


@pytest.fixture(scope="module")
def at_rest(potential) -> Crystals:
    """Structures at rest: clusters of one shape, each somewhere else."""
    start = random_crystals(1, SPECIES, CELL, seed=3).fractional * 0.4
    shifts = np.random.default_rng(0).random((9, 1, 3))
    return relax(Crystals(start + shifts, CELL, SPECIES), potential, SETTINGS).crystals


def rattled(structures: Crystals, size: float = 0.15) -> Crystals:
    moves = np.random.default_rng(1).normal(scale=size, size=structures.fractional.shape)
    return Crystals(structures.fractional + moves @ np.linalg.inv(CELL), CELL, SPECIES)


def energies_of(structures, potential):
    return potential.evaluate(structures.to_ase())[0] / len(SPECIES)


def test_structures_at_rest_are_taken_as_they_are(at_rest, potential, tmp_path, caplog):
    zero = zero_by_rule(DataCard(), at_rest, potential, tmp_path, SETTINGS)
    assert zero.energy == pytest.approx(energies_of(at_rest, potential).mean(), abs=1e-9)
    assert (zero.rule, zero.of_relaxed) == ("relaxed mean", True)
    assert not caplog.text
    assert not list(tmp_path.glob("relaxed-*"))


@pytest.mark.parametrize("rule", ["mean", "maximum", "percentile"])
def test_of_structures_in_motion_some_are_relaxed(at_rest, potential, tmp_path, caplog, rule):
    moving, counting = rattled(at_rest), CountingPotential(potential)
    card = DataCard(rule=rule, percentile=50.0)
    zero = zero_by_rule(card, moving, counting, tmp_path, SETTINGS, n_training=4)
    assert (zero.rule, zero.of_relaxed, len(zero.energies)) == (f"relaxed {rule}", True, 4)
    relaxed = []
    for atoms in moving.to_ase():
        atoms.calc = LennardJones(**LJ)
        FIRE(atoms, logfile=None).run(SETTINGS.fmax)
        relaxed.append(atoms.get_potential_energy() / len(SPECIES))
    assert all(np.abs(np.array(relaxed) - energy).min() < 1e-3 for energy in zero.energies)
    of_rule = {"mean": np.mean, "maximum": np.max, "percentile": np.median}[rule]
    assert zero.energy == pytest.approx(of_rule(zero.energies), abs=1e-12)
    assert zero.energy < energies_of(moving, potential).min(), "in motion they all lie above"
    warning, one_minimum = [record.getMessage() for record in caplog.records]
    assert "9 of 9 training structures are not at rest" in warning
    assert f"the {rule} of 4 of them, relaxed" in warning
    assert "all 4 relaxed training structures end within" in one_minimum, "they are displaced copies of one"
    before = sum(counting.batches)
    again = zero_by_rule(card, moving, counting, tmp_path, SETTINGS, n_training=4)
    assert again.energy == pytest.approx(zero.energy, abs=1e-12)
    assert sum(counting.batches) == before, "what is done is kept"


def test_a_few_in_motion_are_left_out(at_rest, potential, tmp_path, caplog):
    mixed = at_rest.fractional.copy()
    mixed[[0, 4, 8]] = rattled(at_rest).fractional[[0, 4, 8]]
    zero = zero_by_rule(DataCard(rule="maximum"), Crystals(mixed, CELL, SPECIES), potential, tmp_path, SETTINGS)
    others = energies_of(at_rest, potential)[[1, 2, 3, 5, 6, 7]]
    np.testing.assert_allclose(zero.energies, others, atol=1e-9)
    assert (zero.energy, zero.rule) == (pytest.approx(others.max()), "relaxed maximum")
    assert "3 of 9 training structures are not at rest" in caplog.text


@pytest.mark.parametrize(("settings", "n"), [({"max_steps": 1}, 4), ({}, 0)])
def test_there_is_no_zero_for_relaxed_samples_without_relaxed_structures(
    at_rest, potential, tmp_path, caplog, settings, n
):
    moving = rattled(at_rest)
    zero = zero_by_rule(DataCard(), moving, potential, tmp_path, RelaxSettings(backend="serial", **settings), n)
    assert (zero.rule, zero.of_relaxed) == ("mean", False)
    assert zero.energy == pytest.approx(energies_of(moving, potential).mean(), abs=1e-12)
    said = caplog.records[-1].getMessage()
    assert "no zero for relaxed samples, so no thresholds" in said
    assert ("(4 ran out of relax.max_steps=1: raise it, such as to 4)" in said) is bool(n)


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ([0, 0.2, 0.9, 0.5], "all 4 relaxed training structures end within 0.90 meV/atom"),
        ([0, 0], "all 2 relaxed"),
        ([0, 7, 0.05, 9], "half of the 4 relaxed training structures end within 0.05 meV/atom"),
        ([40, 0, 0.01, 0.02, 30], "half of the 5 relaxed training structures end within 0.02 meV/atom"),
        ([0, 0.05, 9, 12, 30], None),
        ([0, 1.5, 3, 4], None),
        ([0], None),
    ],
)
def test_structures_that_end_in_one_minimum_are_told(caplog, above, said):
    _warn_of_one_minimum(-4.5 + np.array(above) / 1000)
    assert caplog.text == "" if said is None else said in caplog.text


def test_a_stopped_relaxation_is_resumed(at_rest, potential, tmp_path):
    moving = rattled(at_rest)
    whole = zero_by_rule(DataCard(), moving, potential, tmp_path / "whole", SETTINGS, 4)
    counting = CountingPotential(load_potential("ase", atoms_per_batch=6, **_of(potential)))

    def stop(energies, forces, frames, call):
        if call == 60:
            raise KeyboardInterrupt

    counting.spoil = stop
    with pytest.raises(KeyboardInterrupt):
        zero_by_rule(DataCard(), moving, counting, tmp_path / "cut", SETTINGS, 4)
    counting.spoil, counting.batches = (lambda *_: None), []
    resumed = zero_by_rule(DataCard(), moving, counting, tmp_path / "cut", SETTINGS, 4)
    assert resumed.energy == pytest.approx(whole.energy, abs=1e-9)
    steps = (tmp_path / "whole").glob("relaxed-*/relax.csv")
    total = sum(int(row.split(",")[4]) for path in steps for row in path.read_text().splitlines()[1:])
    assert 0 < sum(counting.batches) < total, "what had been relaxed is not relaxed again"


def _of(potential):
    return {name: potential.spec[name] for name in ("calculator", "arguments")}


def test_a_cache_without_forces_is_completed(at_rest, potential, tmp_path):
    """Version 0.1.0 kept energies only, which are enough where no forces are needed."""
    counting, wanted = CountingPotential(potential), energies_of(at_rest, potential)
    structures = structures_hash(at_rest)
    path = tmp_path / f"energies-{structures[:16]}-{potential.card.hash[:16]}.records"
    old = RecordFile(path, {"structures": structures, "potential": potential.card.hash}, cache=True)
    for number, energy in enumerate(wanted * len(SPECIES)):
        old.append(json.dumps([number, energy]).encode())
    as_they_are = zero_by_rule(DataCard(), at_rest, counting, tmp_path, SETTINGS, n_training=None)
    assert (as_they_are.energy, counting.batches) == (pytest.approx(wanted.mean()), [])
    assert as_they_are.of_relaxed, "as in version 0.1.0"
    for evaluated in (9, 9):
        zero = zero_by_rule(DataCard(), at_rest, counting, tmp_path, SETTINGS)
        assert (zero.energy, sum(counting.batches)) == (pytest.approx(wanted.mean()), evaluated)


def test_an_untrained_generator_does_not_shine(at_rest, potential, tmp_path):
    """Structures in motion lie above random ones that are relaxed, which had been called good for that."""
    moving = rattled(at_rest, 0.25)
    random = relax(random_crystals(20, SPECIES, CELL, seed=5), potential, SETTINGS)
    relaxed = np.where(random.converged, random.energy_final, np.nan) / len(SPECIES)
    shares = []
    for n_training in (None, 9):
        zero = zero_by_rule(DataCard(), moving, potential, tmp_path, SETTINGS, n_training)
        shares.append(fractions_below(relaxed - zero.energy, len(relaxed), (0.0,))[0.0].value)
    assert shares[0] > 0.8
    assert shares[1] < 0.3


def test_a_folder_of_a_colleague_that_cannot_be_written_is_done_without(at_rest, potential, tmp_path, caplog):
    moving = rattled(at_rest)
    expected = zero_by_rule(DataCard(), moving, potential, tmp_path / "own", SETTINGS, n_training=3)
    zero_by_rule(DataCard(), moving, potential, tmp_path, SETTINGS, n_training=0)  # keeps the energies
    [kept] = (tmp_path / "own").glob("relaxed-*/")
    (tmp_path / kept.name).mkdir()
    (tmp_path / kept.name / LOCK).mkdir()  # no file can be locked there
    zero = zero_by_rule(DataCard(), moving, potential, tmp_path, SETTINGS, n_training=3)
    assert zero.energy == pytest.approx(expected.energy, abs=1e-9)
    assert "cannot be locked" in caplog.text
