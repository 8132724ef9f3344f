"""Structures on the alloy benchmark's lattice: as they are, translated, or rotated and translated.

The names are those of the models for which Dismai-Bench has procedures (docs/dismai_bench.md, "Alloy: lattice
mapping"):

- `cryingan`, as is: the sites are those of the reference.
- `diffcsp`, translated: the lattice may lie anywhere.
- `cdvae`, rotated and translated: it may also have any direction. Where that lattice does not repeat with the cell,
  clusters are counted without sites (`cryingan.metrics.alloy.rotated`).
- `auto`: the first of these that fits, the one with fewest vacancies of the first two.

A cell that differs from the lattice's is strained to it, as are its atoms: only fractional coordinates count. A
structure with more than 50 of 256 sites vacant is rejected, whichever way it was mapped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy import upstream as alloy_upstream
from cryingan.metrics.alloy.fcc import SPECIES, occupation
from cryingan.metrics.alloy.lattice import MARGIN, FccLattice, Mapping, fitted_origin
from cryingan.metrics.alloy.rotated import map_rotated

if TYPE_CHECKING:
    from ase import Atoms

MAPPINGS = ("cryingan", "diffcsp", "cdvae")


def map_to_lattice(
    atoms: Atoms, lattice: FccLattice | None = None, mapping: str = "auto", compatible: bool = False
) -> Mapping:
    """Map one structure on the lattice.

    Args:
        atoms: a periodic structure; it may have any number of atoms.
        lattice: the reference's; by default 4 x 4 x 4 cells of 3.6 Angstrom with a site at the origin.
        mapping: one of `MAPPINGS` or `auto`.
        compatible: use the procedures of Dismai-Bench (`cryingan.metrics.alloy.upstream`). They let one atom decide
            place and direction of the lattice, take the cell for the lattice's, never reject after `cryingan` and
            `diffcsp`, and round counts.

    Returns:
        The mapping; a structure that cannot be mapped is rejected with the reason.

    Raises:
        CryinGANError: there is no such mapping.
    """
    if mapping not in (*MAPPINGS, "auto"):
        raise CryinGANError(f"mapping={mapping} must be one of auto, {', '.join(MAPPINGS)}")
    lattice = lattice or FccLattice()
    reason = _unusable(atoms)
    if reason:
        return Mapping.rejected(mapping, lattice, len(atoms), reason)
    if mapping != "auto":
        procedures = alloy_upstream.PROCEDURES if compatible else PROCEDURES
        return procedures[mapping](atoms, lattice)
    best = _best(atoms, lattice)
    return alloy_upstream.PROCEDURES[best.mapping](atoms, lattice) if compatible else best


def _unusable(atoms: Atoms) -> str:
    """Why a structure cannot be mapped at all; empty if it can."""
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(SPECIES))
    if unknown:
        return f"species {', '.join(unknown)} in an alloy of {', '.join(SPECIES)}"
    if len(atoms) == 0:
        return "the structure has no atoms"
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "a coordinate is not finite"
    if atoms.cell.rank < 3 or min(1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)) < 2 * MARGIN:
        return f"cell {np.round(atoms.cell.cellpar(), 2).tolist()} is flat"
    return ""


def _as_is(atoms: Atoms, lattice: FccLattice) -> Mapping:
    return _aligned("cryingan", atoms, lattice, np.array(lattice.origin))


def _translated(atoms: Atoms, lattice: FccLattice) -> Mapping:
    return _aligned("diffcsp", atoms, lattice, fitted_origin(_fractional(atoms), lattice))


def _aligned(mapping: str, atoms: Atoms, lattice: FccLattice, origin: np.ndarray) -> Mapping:
    reason = lattice.misfit(atoms)
    if reason:
        return Mapping.rejected(mapping, lattice, len(atoms), reason)
    symbols = atoms.get_chemical_symbols()
    occupied = occupation(_fractional(atoms)[None], symbols, lattice.cell, lattice.sites(origin), MARGIN)[0]
    return Mapping.of(mapping, occupied, len(atoms), lattice.most_vacancies)


def _turned(atoms: Atoms, lattice: FccLattice) -> Mapping:
    """A lattice along the edges of the cell needs no search for directions, however cell and atoms are turned."""
    aligned = _translated(atoms, lattice)
    return map_rotated(atoms, lattice) if aligned.reason else replace(aligned, mapping="cdvae")


def _best(atoms: Atoms, lattice: FccLattice) -> Mapping:
    best = _as_is(atoms, lattice)
    if best.vacancies and best.dropped:
        best = min(best, _translated(atoms, lattice), key=lambda mapped: mapped.vacancies)
    if best.reason:
        rotated = map_rotated(atoms, lattice)
        return replace(best, reason=f"{best.reason}; rotated: {rotated.reason}") if rotated.reason else rotated
    return best


def _fractional(atoms: Atoms) -> np.ndarray:
    return atoms.cell.scaled_positions(atoms.positions)


PROCEDURES = {"cryingan": _as_is, "diffcsp": _translated, "cdvae": _turned}
