"""Displaced diamond in the cell of a set."""

import numpy as np
import pytest
from ase.build import bulk

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from data.silicon.checks import bonds
from data.silicon.crystal import CELL_OF_256, diamond_sites, displaced_diamond


@pytest.mark.parametrize("atoms", [8, 64, 216, 256])
def test_every_atom_has_four_neighbours_at_one_distance(atoms):
    cell = (CELL_OF_256 if atoms == 256 else round((atoms / 8) ** (1 / 3)) * np.eye(3)) * 5.431
    sites = diamond_sites(atoms)
    assert sites.shape == (atoms, 3)
    found = bonds(sites @ cell, cell)
    assert (found.counts == 4).all()
    np.testing.assert_allclose(found.lengths, 5.431 * np.sqrt(3) / 4, rtol=1e-9)
    np.testing.assert_allclose(found.angles, np.degrees(np.arccos(-1 / 3)), rtol=1e-7)


def test_the_cell_of_256_atoms_is_nearly_a_cube():
    assert abs(np.linalg.det(CELL_OF_256)) == pytest.approx(256 / 8)
    stretched = CELL_OF_256 @ CELL_OF_256.T / (256 / 8) ** (2 / 3)
    assert np.abs(np.sqrt(np.linalg.eigvalsh(stretched)) - 1).max() < 0.09


def test_structures_are_displaced_by_a_tenth_of_an_angstrom_and_keep_their_numbers():
    template = Crystals(np.zeros((1, 64, 3)), 2 * 5.431 * np.eye(3), ("Si",) * 64)
    drawn = displaced_diamond(template, 20, seed=3)
    apart = drawn.fractional - diamond_sites(64)
    moved = (apart - np.round(apart)) @ template.cell
    assert moved.std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(displaced_diamond(template, 4, seed=3).fractional, drawn[:4].fractional)


def test_other_sets_are_refused():
    with pytest.raises(CryinGANError, match="is for silicon; the set holds C"):
        displaced_diamond(Crystals.from_ase([bulk("C", cubic=True)]), 1, 0)
    with pytest.raises(CryinGANError, match="diamond of 60 atoms has no cubic cell"):
        diamond_sites(60)
