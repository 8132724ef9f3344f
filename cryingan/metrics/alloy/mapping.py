"""Structures on the alloy benchmark's lattice: as they are, translated, or rotated and translated.

Names and procedures are those of docs/dismai_bench.md, "Alloy: lattice mapping". `auto` is the first mapping that fits,
of the first two the one with fewer vacancies. Where a rotated lattice does not repeat with the cell, clusters are
counted without sites (`cryingan.metrics.alloy.rotated`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy import upstream as alloy_upstream
from cryingan.metrics.alloy.fcc import MARGIN, SPECIES, fcc_sites, occupation
from cryingan.metrics.alloy.lattice import FccLattice, Mapping, fitted_origin
from cryingan.metrics.alloy.rotated import map_rotated

MAPPINGS = ("cryingan", "diffcsp", "cdvae")


def map_to_lattice(
    atoms: Atoms, lattice: FccLattice | None = None, mapping: str = "auto", compatible: bool = False
) -> Mapping:
    """Map one structure on the lattice; one that cannot be mapped is rejected with the reason.

    Args:
        atoms: a periodic structure; it may have any number of atoms.
        lattice: the reference's; by default 4 x 4 x 4 cells of 3.6 Angstrom with a site at the origin.
        mapping: one of `MAPPINGS` or `auto`.
        compatible: use the procedures of Dismai-Bench (`cryingan.metrics.alloy.upstream`).

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
    return _aligned("cryingan", atoms, lattice, lattice.origin)


def _translated(atoms: Atoms, lattice: FccLattice) -> Mapping:
    return _aligned("diffcsp", atoms, lattice, fitted_origin(atoms.get_scaled_positions(wrap=False), lattice))


def _aligned(mapping: str, atoms: Atoms, lattice: FccLattice, origin: Sequence[float]) -> Mapping:
    reason = lattice.misfit(atoms)
    if reason:
        return Mapping.rejected(mapping, lattice, len(atoms), reason)
    fractional, symbols = atoms.get_scaled_positions(wrap=False), atoms.get_chemical_symbols()
    occupied = occupation(fractional[None], symbols, lattice.cell, fcc_sites(lattice.repeats, origin))[0]
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


PROCEDURES = {"cryingan": _as_is, "diffcsp": _translated, "cdvae": _turned}
