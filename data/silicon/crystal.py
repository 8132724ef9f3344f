"""Displaced diamond: what a generator of amorphous silicon must not fall back to."""

from __future__ import annotations

import numpy as np
from ase.build import bulk, make_supercell

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals

DISPLACEMENT = 0.1  # Angstrom, standard deviation along each axis
CELL_OF_256 = np.array([[-3.0, -1.5, -0.5], [-1.0, 1.5, 2.5], [-1.0, 2.5, -1.5]])
"""Lattice vectors, in lattice constants, of the supercell of 256 atoms that is nearest to a cube; none is one."""


def diamond_sites(atoms: int) -> np.ndarray:
    """Fractional coordinates of diamond in a supercell that is a cube or, for 256 atoms, nearly one, shape (atoms, 3).

    Raises:
        CryinGANError: there is no such supercell.
    """
    side = round((atoms / 8) ** (1 / 3))
    if atoms != 256 and 8 * side**3 != atoms:
        raise CryinGANError(f"diamond of {atoms} atoms has no cubic cell; 8, 64, 216, 256, 512 ... have one")
    primitive = bulk("Si", a=1.0)
    cell = CELL_OF_256 if atoms == 256 else side * np.eye(3)
    matrix = np.rint(cell @ np.linalg.inv(np.asarray(primitive.cell))).astype(int)
    return make_supercell(primitive, matrix).get_scaled_positions()


def displaced_diamond(template: Crystals, n: int, seed: int) -> Crystals:
    """Diamond strained to the cell of a set of silicon, with normal displacements of its atoms.

    Args:
        template: a set of silicon.
        n: number of structures.
        seed: of the displacements; each structure depends on it and on its number alone.

    Raises:
        CryinGANError: the set is not of silicon, or there is no such crystal.
    """
    if set(template.species) != {"Si"}:
        raise CryinGANError(f"rival=diamond is for silicon; the set holds {', '.join(template.counts)}")
    sites = diamond_sites(len(template.species)) @ template.cell
    shape = (n, *sites.shape)
    places = sites + np.random.default_rng(seed).normal(0, DISPLACEMENT, shape)
    return Crystals(places @ np.linalg.inv(template.cell), template.cell, template.species)
