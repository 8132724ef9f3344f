"""Atoms, bonds and cell in pictures: the same rules as in the viewer of a report."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cryingan.plots.atoms import DRAWN, atom_looks, bond_cutoffs, charge_signs
from cryingan.plots.structures import structure_figure
from cryingan.plots.style import save_figure
from cryingan.structures.crystals import Crystals

CELL = np.diag([6.0, 7.0, 8.0])
SPECIES = ("Li", "Li", "O")
HIGHLIGHT = 0x90 / 0xFF  # its opacity


def crystals(*fractional, species=SPECIES, cell=CELL):
    return Crystals(np.array([fractional], dtype=float), cell, species)


def spheres(axis):
    """Radius and colour of each atom in the order in which they are drawn."""
    [collection] = axis.collections
    sized = zip(collection.get_paths(), collection.get_facecolors(), strict=True)
    whole = [(path, color) for path, color in sized if len(path.vertices) > 10 and color[3] == 1]
    return [(round(np.ptp(path.vertices[:, 0]) / 2, 3), color[:3]) for path, color in whole]


@pytest.mark.parametrize(("symbol", "others", "radius"), [("Li", "O", 0.90), ("O", "Li", 1.26), ("Cl", "Na", 1.67)])
def test_ions_have_the_crystal_radii_of_shannon(symbol, others, radius):
    assert atom_looks([symbol, others])[symbol].radius == pytest.approx(DRAWN * radius, abs=1e-3)


def test_oxygen_is_not_hidden_by_metals():
    looks = atom_looks(["Li", "Co", "Sc", "O"])
    assert looks["O"].radius > max(looks[metal].radius for metal in ("Li", "Co", "Sc"))
    assert looks["O"].color == "#ff0d0d"


def test_ions_are_bonded_to_ions_of_the_other_kind_and_metals_not_to_metals():
    assert sorted(bond_cutoffs(["Li", "O", "Cl"])) == [("Cl", "Li"), ("Li", "O")]
    assert sorted(bond_cutoffs(["Li", "P", "S"])) == [("Li", "S"), ("P", "S")]
    assert bond_cutoffs(["Cr", "Fe", "Ni"]) == {}
    assert sorted(bond_cutoffs(["Si", "Ge"])) == [("Ge", "Ge"), ("Ge", "Si"), ("Si", "Si")]
    assert bond_cutoffs(["Si"])["Si", "Si"] == pytest.approx(1.15 * 2 * 1.11), "covalent radii of Cordero et al."


def test_elements_without_an_electronegativity_are_no_ions():
    assert charge_signs(["Ar"]) == {"Ar": 0}
    assert charge_signs(["Li", "F", "Ar"]) == {"Li": 1, "F": -1, "Ar": 0}


def test_near_atoms_are_drawn_last_and_far_ones_fade():
    figure = structure_figure(crystals([0.5, 0.9, 0.5], [0.5, 0.1, 0.5], [0.5, 0.5, 0.5]))
    looks = atom_looks(SPECIES)
    (far, far_color), (middle, middle_color), (near, near_color) = spheres(figure.axes[0])
    assert [far, middle, near] == [looks["Li"].radius, looks["O"].radius, looks["Li"].radius]
    pale = [
        np.abs(1 - color).sum() / np.abs(1 - np.array(to_rgb(looks[symbol].color))).sum()
        for symbol, color in (("Li", far_color), ("O", middle_color), ("Li", near_color))
    ]
    assert pale == sorted(pale)
    assert pale[0] < 0.6 < 0.8 < pale[-1]


def test_bonds_reach_through_faces():
    def halves(*fractional):
        [collection] = structure_figure(crystals(*fractional)).axes[0].collections
        return sum(len(path.vertices) == 5 for path in collection.get_paths())

    assert halves([0.1, 0.5, 0.5], [0.7, 0.5, 0.5], [0.4, 0.5, 0.5]) == 4, "two bonds in the cell"
    assert halves([0.1, 0.5, 0.5], [0.5, 0.5, 0.5], [0.9, 0.5, 0.5]) == 2, "one, through a face"
    assert halves([0.1, 0.5, 0.1], [0.5, 0.5, 0.5], [0.1, 0.5, 0.9]) == 2


@pytest.mark.parametrize(
    ("species", "cell"),
    [
        (("H", "H", "H"), CELL),
        (("Ar", "Xe", "He"), np.diag([3.0, 3, 40])),
        (("Fe", "Cr", "Ni"), np.array([[4.0, 0, 0], [2, 4, 0], [1, 1, 5]])),
    ],
)
def test_odd_sets_are_drawn(species, cell):
    one_spot = crystals(*[[0.5, 0.5, 0.5]] * 3, species=species, cell=cell)
    assert len(spheres(structure_figure(one_spot, ["one"]).axes[0])) == 3
    lost = structure_figure(crystals([np.nan] * 3, [0.1] * 3, [0.9] * 3, species=species, cell=cell))
    assert len(spheres(lost.axes[0])) == 2, "those whose coordinates are numbers"


def test_a_structure_without_any_coordinate_is_an_empty_cell(tmp_path):
    save_figure(structure_figure(crystals(*[[np.nan] * 3] * 3)), tmp_path / "none.png")
