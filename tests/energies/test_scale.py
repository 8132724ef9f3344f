"""Energy scales against the paper's constants and hand calculations."""

import math

import numpy as np
import pytest

from cryingan.energies.data_card import Cutoff, DataCard
from cryingan.energies.scale import EnergyScale, energy_scale, interface_area, interface_factor
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

AT_REST = RelaxSettings(backend="serial", fmax=1e9)  # whatever the forces

PAPER = PotentialCard("paper", "0" * 64, ("Li",))
GAMMA = math.radians(75.6674)
PAPER_CELL = np.array(
    [[12.46997, 0, 0], [17.19967 * math.cos(GAMMA), 17.19967 * math.sin(GAMMA), 0], [1.0, -2.0, 30.0]]
)


@pytest.fixture
def training() -> Crystals:
    fractional = np.random.default_rng(0).uniform(size=(6, 4, 3))
    return Crystals(fractional, np.diag([5.0, 6.0, 7.0]), ("Cu", "Cu", "O", "O"))


@pytest.mark.parametrize(("energy", "expected"), [(-4.80, -0.40709055503263), (-4.78, 0.0), (-4.77, 0.20354527751633)])
def test_paper_constants(energy, expected):
    factor = interface_factor(264, interface_area(PAPER_CELL))
    scale = EnergyScale(-4.78, factor, "J/m^2", PAPER)
    assert scale.normalise(np.array([energy]), PAPER).values[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("axis", "area"), [("a", 20 * 30), ("b", 10 * 30), ("c", 10 * 20)])
def test_area_lies_between_the_two_other_vectors(axis, area):
    assert interface_area(np.diag([10.0, -20.0, 30.0]), axis) == area


def test_scale_takes_area_atoms_and_cutoff_from_the_data(training, tmp_path):
    potential = load_potential("pair")
    listed, other = Cutoff("pair", potential.card.hash, -1.5), Cutoff("pair", "1" * 64, 99.0)
    card = DataCard(kind="interface", area_axis="b", cutoffs=(other, listed))
    scale = energy_scale(card, training, potential, tmp_path)
    assert (scale.zero, scale.unit, scale.potential) == (-1.5, "J/m^2", potential.card)
    assert scale.factor == pytest.approx(1.602176634e-19 * 4 / (35.0 * 1e-20), rel=1e-14)
    assert not list(tmp_path.iterdir()), "a listed cut-off needs no training energies"


@pytest.mark.parametrize(
    ("card", "zero"),
    [
        (DataCard(kind="interface"), np.max),
        (DataCard(kind="interface", rule="percentile", percentile=50.0), np.median),
        (DataCard(), np.mean),
    ],
)
def test_cutoff_by_the_rule_of_the_card(card, zero, training, tmp_path):
    potential = load_potential("pair")
    energies = potential.evaluate(training.to_ase())[0] / 4
    scale = energy_scale(card, training, potential, tmp_path / "cache", AT_REST)
    assert scale.zero == pytest.approx(zero(energies), rel=1e-14)
    if card.kind == "bulk":
        assert scale.unit == "eV/atom"
        assert scale.normalise(energies, potential.card).values.mean() == pytest.approx(0, abs=1e-14)


def test_a_cut_off_for_other_weights_of_the_same_name_is_reported(training, tmp_path, caplog):
    card = DataCard(cutoffs=(Cutoff("pair", "1" * 64, -1.5),))
    scale = energy_scale(card, training, load_potential("pair"), tmp_path, AT_REST)
    assert scale.zero != -1.5
    assert "cut-off for another pair" in caplog.text


@pytest.mark.parametrize("order", [1, -1])
def test_the_cut_off_of_the_very_hash_comes_before_that_of_any(order, training, tmp_path, caplog):
    potential = load_potential("pair")
    anything, exact = Cutoff("pair", "any", -1.5), Cutoff("pair", potential.card.hash, -2.5)
    card = DataCard(cutoffs=(anything, exact)[::order])
    assert energy_scale(card, training, potential, tmp_path).zero == -2.5
    assert not caplog.text
    other = load_potential("pair", depth=0.6)
    assert energy_scale(card, training, other, tmp_path).zero == -1.5
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"for any pair: it may not be meant for the one with hash {other.card.hash}" in record.getMessage()


def test_potentials_are_never_mixed():
    scale = EnergyScale(0.0, 1.0, "eV/atom", PAPER)
    for other in (PotentialCard("paper", "1" * 64, ()), PotentialCard("other", PAPER.hash, ())):
        with pytest.raises(CryinGANError, match=r"cannot be mixed: paper \(0{12}\) and"):
            scale.normalise(np.zeros(2), other)
