"""From a system to its interface: two matched slabs, and structures with a random region between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data.interface.matching import Match, match_surfaces
from data.interface.placement import Placement
from data.interface.surfaces import SurfaceSlab, make_slab

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.systems import System


@dataclass(frozen=True)
class Interface(Placement):
    """Two slabs in their common cell, the atoms to be placed between them, and where they come from.

    Attributes:
        system: the system.
        match: the common cell, to which the film is strained.
        crystals: crystals that substrate and film were cut from.
    """

    system: System
    match: Match
    crystals: tuple[Atoms, Atoms]


def assemble(system: System, substrate: Atoms, film: Atoms) -> Interface:
    """Match and stack the slabs of two crystals.

    Args:
        system: the system.
        substrate: conventional cell of the substrate's crystal.
        film: conventional cell of the film's crystal.

    Raises:
        CryinGANError: the system has no such slab or common cell.
    """
    lower, upper = make_slab(substrate, system.substrate, True), make_slab(film, system.film, False)
    match = match_surfaces(lower.vectors, upper.vectors, system.matching)
    below, above = (
        _repeated(slab, matrix) for slab, matrix in ((lower, match.substrate_matrix), (upper, match.film_matrix))
    )
    top = float(below.positions[:, 2].max())
    bottom = top + system.region.thickness
    above.positions[:, 2] += bottom
    height = above.positions[:, 2].max() + system.vacuum
    slabs = _in_common_cell([below, above], match, height)
    offset = system.vacuum / 2
    slabs.positions[:, 2] += offset
    random = [*lower.moved * match.determinants[0], *upper.moved * match.determinants[1]]
    random += _formula(film) * system.region.formula_units
    bounds = (top + offset, bottom + offset)
    return Interface(slabs, tuple(random), bounds, system.region, system, match, (substrate, film))


def _formula(crystal: Atoms) -> list[str]:
    from ase.formula import Formula

    reduced, _ = Formula(crystal.get_chemical_formula()).reduce()
    return [symbol for symbol, count in reduced.count().items() for _ in range(count)]


def _repeated(slab: SurfaceSlab, matrix: np.ndarray) -> Atoms:
    from ase.build import make_supercell

    block = np.eye(3, dtype=int)
    block[:2, :2] = matrix
    return make_supercell(slab.atoms, block, wrap=False)


def _in_common_cell(slabs: list[Atoms], match: Match, height: float) -> Atoms:
    """Both slabs strained to the substrate's superlattice; the origin is in the widest gaps, so faces cut few atoms."""
    plane = np.linalg.cholesky(match.vectors @ match.vectors.T)
    cell = np.zeros((3, 3))
    cell[:2, :2], cell[2, 2] = plane, height
    for slab in slabs:
        heights = slab.positions[:, 2].copy()
        slab.set_cell(cell, scale_atoms=True)
        slab.positions[:, 2] = heights
    both = slabs[0] + slabs[1]
    fractional = both.get_scaled_positions()
    for axis in range(2):
        places = np.sort(fractional[:, axis])
        gaps = np.diff(places, append=places[0] + 1)
        widest = int(gaps.argmax())
        fractional[:, axis] -= places[widest] + gaps[widest] / 2
    both.set_scaled_positions(fractional % 1.0)
    both.pbc = True
    return both
