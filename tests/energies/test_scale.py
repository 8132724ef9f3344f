"""Energy scales against the paper's constants and hand calculations."""

import math

import numpy as np
import pytest

from cryingan.energies.data_card import DataCard, random_energies, read_data_card
from cryingan.energies.fractions import fractions_below
from cryingan.energies.scale import (
    Energies,
    EnergyScale,
    energy_scale,
    interface_area,
    interface_factor,
    require_same_potential,
)
from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

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
    listed = {"potential": "pair", "hash": potential.card.hash, "energy_per_atom": -1.5}
    other = {**listed, "hash": "1" * 64, "energy_per_atom": 99.0}
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
    scale = energy_scale(card, training, potential, tmp_path / "cache")
    assert scale.zero == pytest.approx(zero(energies), rel=1e-14)
    if card.kind == "bulk":
        assert scale.unit == "eV/atom"
        assert scale.normalise(energies, potential.card).values.mean() == pytest.approx(0, abs=1e-14)


def test_a_cut_off_for_other_weights_of_the_same_name_is_reported(training, tmp_path, caplog):
    listed = {"potential": "pair", "hash": "1" * 64, "energy_per_atom": -1.5}
    scale = energy_scale(
        DataCard(cutoffs=(listed,)), training, load_potential("pair"), tmp_path, RelaxSettings(backend="serial")
    )
    assert scale.zero != -1.5
    assert "cut-off for another pair" in caplog.text


@pytest.mark.parametrize("order", [1, -1])
def test_the_cut_off_of_the_very_hash_comes_before_that_of_any(order, training, tmp_path, caplog):
    potential = load_potential("pair")
    anything = {"potential": "pair", "hash": "any", "energy_per_atom": -1.5}
    exact = {**anything, "hash": potential.card.hash, "energy_per_atom": -2.5}
    card = DataCard(cutoffs=(anything, exact)[::order])
    assert energy_scale(card, training, potential, tmp_path).zero == -2.5
    assert not caplog.text
    other = load_potential("pair", depth=0.6)
    assert energy_scale(card, training, other, tmp_path).zero == -1.5
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"for any pair: whether it is the one with hash {other.card.hash}" in record.getMessage()


def test_potentials_are_never_mixed():
    scale = EnergyScale(0.0, 1.0, "eV/atom", PAPER)
    for other in (PotentialCard("paper", "1" * 64, ()), PotentialCard("other", PAPER.hash, ())):
        with pytest.raises(CryinGANError, match=r"cannot be mixed: paper \(0{12}\) and"):
            scale.normalise(np.zeros(2), other)
        with pytest.raises(CryinGANError, match="cannot be mixed"):
            require_same_potential(Energies(np.zeros(2), "eV/atom", PAPER), Energies(np.zeros(2), "eV/atom", other))
    with pytest.raises(CryinGANError, match=r"eV/atom and in J/m\^2"):
        require_same_potential(scale, Energies(np.zeros(2), "J/m^2", PAPER))


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


@pytest.mark.parametrize("name", ["set.extxyz", "set.extxyz.gz", "set", "set.v2.extxyz"])
def test_data_card_belongs_to_its_file(name, tmp_path):
    (tmp_path / "set.card.yaml").write_text("name: set")
    (tmp_path / "set.v2.card.yaml").write_text("name: set.v2")
    assert read_data_card(tmp_path / name).name == ("set.v2" if "v2" in name else "set")


def test_data_card_file(tmp_path):
    data = tmp_path / "set.extxyz.gz"
    assert read_data_card(data) == DataCard(kind="bulk", rule="mean")
    (tmp_path / "set.card.yaml").write_text(
        "name: x\nkind: interface\narea_axis: a\n"
        f"cutoffs:\n- {{potential: p, hash: '{'a' * 64}', energy_per_atom: -4.78}}"
    )
    card = read_data_card(data)
    assert (card.kind, card.area_axis, card.rule) == ("interface", "a", "maximum")
    assert card.cutoff(PotentialCard("p", "a" * 64, ())) == -4.78
    assert card.cutoff(PotentialCard("p", "b" * 64, ())) is None
    assert card.cutoff(PotentialCard("q", "a" * 64, ())) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: slab", "must be one of interface, bulk"),
        ("kind: bulk\nrule: median", "maximum, mean, percentile"),
        ("kind: interface\narea_axis: z", "must be one of a, b, c"),
        ("kind: interface\nareaaxis: c", "areaaxis"),
        ("cutoffs: [{potential: p, energy_per_atom: -4.78}]", "potential, hash and energy_per_atom"),
        (
            f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: 1, other: 2}}]",
            "perhaps random, nothing else",
        ),
        ("cutoffs: [{potential: p, hash: 12ab, energy_per_atom: -4.78}]", "64 hexadecimal"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: low}}]", "must be a number"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: .nan}}]", "must be a number"),
        (f"cutoffs: [{{potential: p, hash: {'a' * 64}, energy_per_atom: 1, random: 5}}]", "random 5 must be a file"),
        ("percentile: 200", "percentile: 200 must be a number between 0 and 100"),
        ("percentile: abc", "percentile: 'abc' must be a number"),
        ("default_potential: 5", "default_potential: 5 must be a folder"),
        ("just text", "card.yaml"),
        ("kind: [", "card.yaml"),
    ],
)
def test_wrong_data_card_is_one_line_that_names_it(text, message, tmp_path):
    (tmp_path / "set.card.yaml").write_text(text)
    with pytest.raises(CryinGANError, match=message) as caught:
        read_data_card(tmp_path / "set.extxyz")
    assert str(caught.value).startswith(str(tmp_path / "set.card.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["number,energy\n0,1\n", "energy_per_atom\nlow\n", None])
def test_energies_of_random_structures_that_cannot_be_read_are_refused(text, tmp_path):
    potential = load_potential("pair").card
    listed = {"potential": potential.name, "hash": potential.hash, "energy_per_atom": 0.0, "random": "random.csv"}
    if text is not None:
        (tmp_path / "random.csv").write_text(text)
    with pytest.raises(CryinGANError, match=r"random\.csv: a CSV file with a column energy_per_atom is wanted"):
        random_energies(DataCard(cutoffs=(listed,)), potential, tmp_path)
    assert random_energies(DataCard(), potential, tmp_path) is None
