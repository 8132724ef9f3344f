"""Contacts of anions: found in molecules of another kind, in no crystal, and only where charges are certain."""

import logging

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry import get_distances
from ase.spacegroup import crystal
from pymatgen.core import Species

from cryingan.structures.contacts import FRACTION, anion_radii, contact_text, contacts
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from tests.support.bulk_crystals import LCO, LICL, LSC, made_crystal
from tests.support.paths import ROOT

SKEWED = np.array([[9.0, 0, 0], [4.0, 8.0, 0], [-3.0, 2.0, 9.0]])


def structure(species, positions, cell=SKEWED):
    return Crystals(np.asarray(positions, float)[None] @ np.linalg.inv(cell), cell, species)


def found(species, positions, cell=SKEWED):
    [one] = contacts(structure(species, positions, cell))
    return one if one is None else [(pair, round(distance, 2)) for pair, distance in one]


@pytest.mark.parametrize("shift", [(0, 0, 0), (8.5, 0, 0), (0, 7.9, 0.1), (-1.1, -0.5, 8.9)], ids=str)
@pytest.mark.parametrize(
    ("pair", "distance", "close"),
    [
        ("ClCl", 2.0, True),
        ("ClCl", 2.95, True),
        ("ClCl", 3.0, False),
        ("OCl", 1.76, True),
        ("OCl", 2.6, True),
        ("OCl", 2.64, False),
        ("OO", 1.5, True),
        ("OO", 2.3, False),
    ],
)
def test_molecules_of_another_kind(pair, distance, close, shift):
    """In the middle of a skewed cell and across its faces."""
    first, second = ("Cl", "Cl") if pair == "ClCl" else ("O", "Cl" if pair == "OCl" else "O")
    species = [first, second, *["Li"] * (2 if pair == "ClCl" else 3 if pair == "OCl" else 4)]
    rng = np.random.default_rng(0)
    direction = rng.normal(size=3)
    positions = [[0, 0, 0], distance * direction / np.linalg.norm(direction)]
    positions += [np.array([0.5, 0.5, 0.5]) @ SKEWED + rng.uniform(-1, 1, 3) for _ in species[2:]]
    expected = [(f"{first}-{second}", distance)] if close else []
    assert found(species, np.array(positions) + shift) == expected


def test_an_atom_and_its_own_image():
    assert found(["Li", "Cl"], [[0, 0, 0], [1, 4, 4]], np.diag([2.2, 9, 9])) == [("Cl-Cl", 2.2)]


def test_every_pair_once_and_the_closest_first():
    positions = [[0, 0, 0], [2.1, 0, 0], [0, 2.0, 0], *[[4, 4, 4 + 2 * n] for n in range(4)]]
    one = found(["O", "Cl", "Cl", "Li", "Li", "Li", "Li"], positions, np.diag([15.0, 15, 15]))
    assert one == [("O-Cl", 2.0), ("O-Cl", 2.1), ("Cl-Cl", 2.9)]
    assert contact_text(one) == "O-Cl 2.00; O-Cl 2.10; Cl-Cl 2.90"


@pytest.mark.parametrize(("angle", "close"), [(80, True), (100, False), (170, False)])
def test_an_ion_between_two_anions_binds_both(angle, close):
    half = np.radians(angle / 2)
    away = 1.2 * np.array([[np.sin(half), np.cos(half), 0], [-np.sin(half), np.cos(half), 0]])
    assert bool(found(["O", "O", "C"], [*away, [0, 0, 0]])) == close


def test_random_structures_against_distances_of_ase():
    """Li is kept away from all pairs, so distances decide."""
    species, rng = ["Li"] * 11 + ["O"] * 2 + ["Cl"] * 7, np.random.default_rng(1)
    fractional = rng.random((20, 20, 3)) * [1, 1, 0.6] + [0, 0, 0.2]
    fractional[:, :11, 2] = 0.0
    cell = SKEWED * [1, 1, 3]
    crystals = Crystals(fractional, cell, species)
    radii = {"O": Species("O", -2).ionic_radius, "Cl": Species("Cl", -1).ionic_radius}
    for atoms, one in zip(crystals.to_ase(), contacts(crystals), strict=True):
        anions = atoms[11:]
        _, lengths = get_distances(anions.positions, cell=cell, pbc=True)
        size = np.array([radii[symbol] for symbol in anions.symbols])
        pairs = np.triu(lengths < FRACTION * (size[:, None] + size), 1)
        assert [length for _, length in one] == pytest.approx(np.sort(lengths[pairs]))


def cell_of(a, c=None, angle=90):
    return [a, a, c or a, 90, 90, angle]


def made(group, cell, setting=1, **sites):
    """A crystal by the sites of each element; a digit after the element tells several of its sites apart."""
    elements = [name.rstrip("0123456789") for name in sites]
    return crystal(elements, list(sites.values()), spacegroup=group, cellpar=cell, setting=setting)


# Lattice constants and sites: R. W. G. Wyckoff, Crystal Structures (1963), and the papers of the later compounds.
CRYSTALS = {
    "CsCl": bulk("CsCl", "cesiumchloride", a=4.123),
    "LiF": bulk("LiF", "rocksalt", a=4.03),
    "BeO": bulk("BeO", "wurtzite", a=2.698, c=4.377),
    "ZnS": bulk("ZnS", "zincblende", a=5.41),
    "CuI": bulk("CuI", "zincblende", a=6.05),
    "CaF2": bulk("CaF2", "fluorite", a=5.463),
    "Li2S": bulk("SLi2", "fluorite", a=5.71),
    "rutile": made(136, cell_of(4.594, 2.959), Ti=(0, 0, 0), O=(0.3053, 0.3053, 0)),
    "stishovite": made(136, cell_of(4.1812, 2.6662), Si=(0, 0, 0), O=(0.3062, 0.3062, 0)),
    "anatase": made(141, cell_of(3.7845, 9.5143), Ti=(0, 0, 0), O=(0, 0, 0.2081)),
    "quartz": made(152, cell_of(4.9137, 5.4047, 120), Si=(0.4697, 0, 1 / 3), O=(0.4133, 0.2672, 0.2855)),
    "corundum": made(167, cell_of(4.7589, 12.991, 120), Al=(0, 0, 0.35216), O=(0.30624, 0, 0.25)),
    "spinel": made(227, cell_of(8.0831), 2, Mg=(1 / 8,) * 3, Al=(0.5,) * 3, O=(0.2624,) * 3),
    "magnetite": made(227, cell_of(8.3969), 2, Fe=(1 / 8,) * 3, Fe2=(0.5,) * 3, O=(0.2549,) * 3),
    "SrTiO3": made(221, cell_of(3.905), Sr=(0, 0, 0), Ti=(0.5, 0.5, 0.5), O=(0.5, 0.5, 0)),
    "CsPbI3": made(221, cell_of(6.289), Cs=(0, 0, 0), Pb=(0.5, 0.5, 0.5), I=(0.5, 0.5, 0)),
    "calcite": made(167, cell_of(4.988, 17.061, 120), Ca=(0, 0, 0), C=(0, 0, 0.25), O=(0.2568, 0, 0.25)),
    "NaNO3": made(167, cell_of(5.07, 16.82, 120), Na=(0, 0, 0), N=(0, 0, 0.25), O=(0.245, 0, 0.25)),
    "barite": made(
        62, [8.884, 5.457, 7.157, 90, 90, 90], Ba=(0.1846, 0.25, 0.1584), S=(0.4376, 0.75, 0.1909),
        O=(0.5866, 0.75, 0.1055), O2=(0.3177, 0.75, 0.0498), O3=(0.4191, 0.9705, 0.3117),
    ),
    "LiFePO4": made(
        62, [10.334, 6.01, 4.693, 90, 90, 90], Li=(0, 0, 0), Fe=(0.2822, 0.25, 0.9747), P=(0.0949, 0.25, 0.4182),
        O=(0.0968, 0.25, 0.7429), O2=(0.4573, 0.25, 0.206), O3=(0.1656, 0.0465, 0.2848),
    ),
    "brucite": made(164, cell_of(3.142, 4.766, 120), Mg=(0, 0, 0), O=(1 / 3, 2 / 3, 0.2203), H=(1 / 3, 2 / 3, 0.4303)),
    "Li3N": made(191, cell_of(3.648, 3.875, 120), N=(0, 0, 0), Li=(0, 0, 0.5), Li2=(1 / 3, 2 / 3, 0)),
    "Li6PS5Cl": made(
        216, cell_of(9.859), Li=(0.02, 0.25, 0.25), P=(0.5,) * 3, S=(0.25,) * 3, S2=(0.6195,) * 3, Cl=(0, 0, 0)
    ),
    "grossular": made(
        230, cell_of(11.847), Ca=(1 / 8, 0, 1 / 4), Al=(0, 0, 0), Si=(3 / 8, 0, 1 / 4), O=(0.0381, 0.0449, 0.6514)
    ),
    "AlCl3": made(
        12, [5.914, 10.234, 6.148, 90, 108.25, 90], Al=(0, 0.1662, 0), Cl=(0.2147, 0, 0.2263),
        Cl2=(0.2489, 0.1782, 0.7807),
    ),
    "LiCoO2": made_crystal(LCO),
    "Li3ScCl6": made_crystal(LSC),
    "LiCl": made_crystal(LICL),
}  # fmt: skip
UNCHECKED = {
    "FeS2": made(205, cell_of(5.418), Fe=(0, 0, 0), S=(0.3848,) * 3),
    "BaO2": made(139, cell_of(3.81, 6.85), Ba=(0, 0, 0), O=(0, 0, 0.3926)),
    "Bi2Te3": made(166, cell_of(4.38, 30.5, 120), Bi=(0, 0, 0.4), Te=(0, 0, 0), Te2=(0, 0, 0.21)),
    "MoS2": made(194, cell_of(3.16, 12.29, 120), Mo=(1 / 3, 2 / 3, 0.25), S=(1 / 3, 2 / 3, 0.621)),
    "NiAl": bulk("NiAl", "cesiumchloride", a=2.89),
    "Si": bulk("Si"),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_are_left_alone(name):
    atoms = CRYSTALS[name]
    assert contacts(Crystals.from_ase([atoms])) == [[]]
    distances = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    assert 0.9 < distances.min() < 3.7  # else the coordinates are wrong


@pytest.mark.parametrize("name", UNCHECKED)
def test_where_charges_are_not_certain_nothing_is_checked_and_one_line_says_so(name, caplog):
    caplog.set_level(logging.INFO)
    crystals = Crystals.from_ase([UNCHECKED[name] * (1, 1, 3)] * 2)
    assert contacts(crystals) == contacts(crystals) == [None, None]
    assert contact_text(None) == ""
    said = ["contacts of anions are not checked in" in record.message for record in caplog.records]
    assert said == ([True] if len(crystals.counts) > 1 else []), "nobody expects anions in an element"


def test_a_coordinate_that_is_not_finite():
    crystals = structure(["Li", "Cl"], [[0, 0, 0], [3, 0, 0]])
    crystals.fractional[0, 1, 2] = np.nan
    assert contacts(crystals) == [None]


@pytest.mark.parametrize(
    ("species", "radii"),
    [
        ({"Fe": 3, "O": 4}, {"O": 1.26}),  # Fe2+ and Fe3+
        ({"Li": 1, "X": 1, "O": 1}, {}),  # a dummy
        ({"Xe": 1, "F": 2}, {}),
        ({"Li": 30, "Co": 30, "O": 61, "Cl": 3}, {"O": 1.26, "Cl": 1.67}),
        ({"Li": 6, "P": 1, "S": 5, "Cl": 1}, {"S": 1.7, "Cl": 1.67}),
        (dict.fromkeys(("Mg", "Ca", "Sr", "Ba", "Mn", "Fe", "Co", "Ni", "Cu", "Zn"), 7) | {"O": 70}, {"O": 1.26}),
    ],
)
def test_anions_whose_charge_is_certain(species, radii):
    assert anion_radii([symbol for symbol, n in species.items() for _ in range(n)]) == pytest.approx(radii)


@pytest.mark.parametrize("path", sorted(ROOT.glob("data/interface/*/*.extxyz.gz")), ids=lambda path: path.parent.name)
def test_the_contacts_of_the_sets_that_come_with_the_project(path):
    """One was built before contacts were refused, and results are measured on it."""
    texts = map(contact_text, contacts(read_structures(path)))
    expected = {385: "O-Cl 2.11", 415: "O-Cl 2.16"} if path.parent.name == "li2o_licl" else {}
    assert {number: text for number, text in enumerate(texts) if text != "none"} == expected
