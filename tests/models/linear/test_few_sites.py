"""Sets in which a mean means nothing: structures that do not differ, too few, and vacancies."""

import re

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.models.linear.components import Components
from cryingan.models.registry import model_class
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from data.module import StructureData
from tests.support.models import quiet_trainer
from tests.support.shared_sites import interfaces
from tests.support.small_models import CELL, SMALL, SPECIES

FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
CORNERS = np.array(list(np.ndindex(2, 2, 2)))[:, None]
OXYGEN = ((CORNERS + FCC) / 2).reshape(-1, 3)


def rock_salt(nickel, number=30):
    """A cell of 32 O, and Ni at random on the 32 sites of its sublattice; all vibrate by 0.05 Angstrom on each axis."""
    random, edge = np.random.default_rng(0), 8.4
    sites = OXYGEN + np.array([0.25, 0, 0])
    places = [np.concatenate([OXYGEN, sites[random.choice(32, nickel, replace=False)]]) for _ in range(number)]
    places = np.array(places) + random.normal(scale=0.05 / edge, size=(number, 32 + nickel, 3))
    return Crystals(places, edge * np.eye(3), ("O",) * 32 + ("Ni",) * nickel)


def equal(number):
    """Structures that differ by what a file rounds, with their atoms numbered differently."""
    structure = np.random.default_rng(0).random((4, 3))
    fractional = structure + np.random.default_rng(1).uniform(-5e-7, 5e-7, (number, 4, 3))
    fractional[::2] = fractional[::2, [2, 1, 0, 3]]
    return Crystals(fractional, CELL, SPECIES)


@pytest.mark.parametrize("nickel", [20, 25])
def test_vacancies_are_told_once(nickel, caplog):
    structures = rock_salt(nickel)
    components = Components()
    components.fit(structures, 24)
    [told] = caplog.messages
    count, atoms = map(int, re.match(r"(\d+) of (\d+) atoms scatter by more than 0.6 Angstrom", told).groups())
    assert atoms == 32 + nickel
    assert atoms / 3 < count <= nickel
    assert (
        "between the sites. Models without it: model=diffcsp, model=flow with model.prior=uniform, model=paper" in told
    )


@pytest.mark.parametrize("structures", [rock_salt(32), interfaces(40, 0)], ids=["all sites", "one atom of five"])
def test_few_disordered_atoms_are_not_worth_a_line(structures, caplog):
    Components().fit(structures, 24)
    assert not caplog.messages


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("linear", {}), ("flow", {"prior": "linear", "prior_noise": 0.0}), ("cryingan", {"warm_start": "linear"})],
)
def test_structures_that_do_not_differ_are_refused(kind, changes, tmp_path):
    write_structures(equal(20), tmp_path / "equal.extxyz")
    model = model_class(kind)(CELL, SPECIES, **{**SMALL[kind], **changes})
    data = StructureData(tmp_path / "equal.extxyz", batch_size=4, validation=0.05)
    with pytest.raises(CryinGANError, match="the structures do not differ: all 19 that the linear model is fitted to"):
        quiet_trainer().fit(model, datamodule=data)


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_structures_are_refused(number):
    with pytest.raises(CryinGANError, match=f"needs at least two structures to train on, not {number}"):
        Components().fit(equal(2)[:number], 3)


def test_directions_in_which_structures_do_not_differ_explain_nothing():
    """Two structures, copied, differ in one direction; a singular value of 0 may be exactly 0."""
    two, components = interfaces(2, 0), Components()
    copies = Crystals(np.repeat(two.fractional, 6, axis=0), two.cell, two.species)
    copies = copies.reordered(copies.grouping)
    components.fit(copies, 5)
    components.modes[1:] = 0
    assert components.explained(copies) == pytest.approx(1)
