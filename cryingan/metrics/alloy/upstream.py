"""The mapping procedures of Dismai-Bench's programs (docs/dismai_bench.md, "What `compatible=true` changes").

Atoms are compared by Cartesian coordinates. `cdvae` accepts them in the order of the file, then counts pairs by axes
found anew, with ideal points rounded to three decimals. Where those programs end with an exception, the structure is
rejected with a reason. In a cell other than the lattice's, the order in which `cdvae` converts coordinates is our
reading.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from cryingan.metrics.alloy.fcc import MARGIN, SHELLS, SPECIES, VACANCY, fcc_sites
from cryingan.metrics.alloy.lattice import FccLattice, Mapping
from cryingan.metrics.alloy.neighbors import ideal_vectors, nearest_atoms, pairs_within, second_shell, surroundings

DECIMALS = 5
POINT_DECIMALS = 3
FARTHEST = 5.0
"""Largest distance of the atom that places the lattice, Angstrom."""
PROBE = 1e-6
RIGHT_ANGLE = 0.0175  # radians
NO_AXES = "no atom has six neighbours a lattice constant away, two of them at a right angle"


def _as_is(atoms: Atoms, lattice: FccLattice) -> Mapping:
    return _on_sites("cryingan", atoms, lattice, fcc_sites(lattice.repeats, lattice.origin))


def _translated(atoms: Atoms, lattice: FccLattice) -> Mapping:
    cell = atoms.cell.array
    nearest = nearest_atoms(np.full((1, 3), PROBE) @ cell, atoms.positions, cell, FARTHEST)[0]
    if nearest < 0:
        reason = f"no atom is within {FARTHEST} Angstrom of the cell's origin"
        return Mapping.rejected("diffcsp", lattice, len(atoms), reason)
    shift = atoms.cell.scaled_positions(atoms.positions[nearest]) - PROBE
    return _on_sites("diffcsp", atoms, lattice, fcc_sites(lattice.repeats, 0.0) + shift)


def _on_sites(mapping: str, atoms: Atoms, lattice: FccLattice, sites: np.ndarray) -> Mapping:
    nearest = nearest_atoms(sites % 1.0 @ lattice.cell, atoms.positions, atoms.cell.array)
    kinds = np.array([*map(SPECIES.index, atoms.get_chemical_symbols()), VACANCY], dtype=np.int8)
    mapped = Mapping.of(mapping, kinds[nearest], len(atoms), lattice.size)
    return replace(mapped, counts=mapped.counts.round(DECIMALS))


def _turned(atoms: Atoms, lattice: FccLattice) -> Mapping:
    axes, atom = _axes(atoms, lattice.constant)
    if axes is None:
        return Mapping.rejected("cdvae", lattice, len(atoms), NO_AXES)
    fractional = atoms.cell.scaled_positions(atoms.positions) % 1.0
    inside = fractional @ lattice.cell
    sites = _dummy_sites(axes, lattice)
    nearest = nearest_atoms(inside[[atom]], sites, lattice.cell, FARTHEST)[0]
    if nearest < 0:
        reason = f"no site of the rotated lattice is within {FARTHEST} Angstrom of atom {atom + 1}"
        return Mapping.rejected("cdvae", lattice, len(atoms), reason)
    on_site = nearest_atoms(atoms.positions, sites + inside[atom] - sites[nearest], lattice.cell) >= 0
    accepted = _accepted(inside, on_site, lattice, axes)
    # Sorted by electronegativity, which is the order of `SPECIES`.
    order = sorted(np.flatnonzero(accepted), key=lambda index: SPECIES.index(atoms[index].symbol))
    clean = atoms[order]
    clean.set_cell(lattice.cell)
    clean.set_scaled_positions(fractional[order])
    axes, _ = _axes(clean, lattice.constant)
    if axes is None:
        return Mapping.rejected("cdvae", lattice, len(atoms), NO_AXES + ", once atoms off the lattice are removed")
    counts, vacancies = surroundings(clean, _shells(axes, lattice.constant), POINT_DECIMALS)
    removed, reason = lattice.size - len(clean), ""
    if removed > lattice.most_vacancies:
        reason = f"{removed} of {lattice.size} atoms removed, more than {lattice.most_vacancies}"
    return Mapping("cdvae", None, counts.round(DECIMALS), vacancies, len(atoms) - len(clean), reason)


def _axes(atoms: Atoms, constant: float) -> tuple[np.ndarray | None, int]:
    """Unit vectors along the cube by the first atom that shows them, shape (3, 3), and that atom."""
    first, edges = second_shell(atoms.positions, atoms.cell.array, constant)
    number = np.bincount(first, minlength=len(atoms))
    for atom in np.flatnonzero(number == 6):
        own = edges[first == atom]
        lengths = np.linalg.norm(own, axis=1)
        units = (own / lengths[:, None])[np.argsort(np.abs(lengths - constant), kind="stable")]
        angles = np.arccos(np.clip(units[1:] @ units[0], -1, 1))
        right = np.flatnonzero(np.abs(angles - np.pi / 2) <= RIGHT_ANGLE)
        if len(right):
            third = np.cross(units[0], units[1 + right[0]])
            return np.stack([units[0], units[1 + right[0]], third / np.linalg.norm(third)]), int(atom)
    return None, -1


def _dummy_sites(axes: np.ndarray, lattice: FccLattice) -> np.ndarray:
    """The part of the rotated lattice inside a box of the cell's size about one of its sites, Angstrom."""
    turned = (fcc_sites(3 * lattice.repeats, 0.0) - 0.5) @ axes
    rounding = 1e-9
    inside = ((turned > rounding - 1 / 6) & (turned <= rounding + 1 / 6)).all(axis=1)
    return (turned[inside] * 3 + 0.5) @ lattice.cell


def _accepted(positions: np.ndarray, on_site: np.ndarray, lattice: FccLattice, axes: np.ndarray) -> np.ndarray:
    """Atoms that are kept: in order those on sites that overlap none, then their neighbours along the cube axes."""
    count = len(positions)
    first, second, vectors = pairs_within(positions, lattice.cell, lattice.constant + MARGIN)
    overlap, beside = np.zeros((2, count, count), dtype=bool)
    close = np.linalg.norm(vectors, axis=1) <= MARGIN
    overlap[first[close], second[close]] = True
    edges = lattice.constant * np.concatenate([axes, -axes])
    near = (np.linalg.norm(vectors[:, None] - edges, axis=2) <= MARGIN).any(axis=1)
    beside[first[near], second[near]] = True
    accepted = np.zeros(count, dtype=bool)
    for atom in np.flatnonzero(on_site):
        accepted[atom] = not (overlap[atom] & accepted).any()
    leftovers, added = np.flatnonzero(~on_site)[::-1].tolist(), True
    while added:
        added = False
        for atom in leftovers:
            if not accepted[atom] and (beside[atom] & accepted).any() and not (overlap[atom] & accepted).any():
                accepted[atom] = added = True
    return accepted


def _shells(axes: np.ndarray, constant: float) -> list[np.ndarray]:
    """Ideal vectors along axes that need not be at right angles, with the lengths of the lattice."""
    lengths = [constant / 2 * np.linalg.norm(vector) for vector in SHELLS]
    shells = zip(ideal_vectors(axes), lengths, strict=True)
    return [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * length for vectors, length in shells]


PROCEDURES = {"cryingan": _as_is, "diffcsp": _translated, "cdvae": _turned}
