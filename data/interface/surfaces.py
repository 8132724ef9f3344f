"""Slabs of a crystal, cut by Miller indices and atomic layers in the primitive cell of the surface."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from data.interface.bulk import reduced_formula

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.systems import Slab

REACH = 6  # largest index of the vectors of a surface cell
SYMMETRY_TOLERANCE = 1e-3  # Angstrom, for the primitive cell
SAME_ATOM = 0.05  # Angstrom; atoms that a lattice translation brings closer than this are one atom
SMALL_DIPOLE = 0.05  # e Angstrom per primitive cell of the surface


@dataclass(frozen=True)
class SurfaceSlab:
    """A slab of the primitive cell of a surface, with its normal along z.

    Attributes:
        atoms: atoms in a cell whose third vector is along z and of arbitrary length.
        layers: atomic layer of every atom, from 0 at the bottom, shape (atoms,).
        moved: elements of the atoms that were moved from the outermost layer to the side of the other slab.
    """

    atoms: Atoms
    layers: np.ndarray
    moved: tuple[str, ...] = ()

    @property
    def vectors(self) -> np.ndarray:
        """The two vectors in the plane, Angstrom, shape (2, 3)."""
        return np.asarray(self.atoms.cell)[:2]


def make_slab(crystal: Atoms, slab: Slab, upwards: bool) -> SurfaceSlab:
    """Cut a slab of whole formula units without a dipole.

    Args:
        crystal: conventional cell.
        slab: surface, number of layers, and elements that face the other slab.
        upwards: whether the other slab lies above it.

    Raises:
        CryinGANError: no choice of the first layer gives such a slab; the message says why.
    """
    if len(slab.miller) != 3 or not any(slab.miller):
        raise CryinGANError(f"miller: {list(slab.miller)} must be three integers, not all zero")
    name = f"{reduced_formula(crystal)}({''.join(map(str, slab.miller))})"
    if slab.layers <= slab.neutralise:
        raise CryinGANError(f"{name}: layers={slab.layers} must be at least {1 + slab.neutralise}")
    unit, layers = _stacked_layers(surface_cell(crystal, slab.miller), slab.layer_tolerance)
    charges = _charges(crystal, slab)
    if not any(charges.values()):
        print(f"{name}: no formal charges are known, so its dipole is not checked", file=sys.stderr, flush=True)
    full = slab.layers - slab.neutralise
    cuts = [_cut(unit, layers, first, full) for first in range(len(layers))]
    facing = [cut for cut in cuts if _faces(cut, slab.facing, upwards)]
    if not facing:
        known = sorted({"".join(sorted(_facing_elements(cut, upwards))) for cut in cuts})
        raise CryinGANError(f"{name}: facing={slab.facing}, but its layers are {', '.join(known)}")
    whole = [cut for cut in facing if _is_whole(cut.atoms, crystal)]
    if not whole:
        formulas = sorted({cut.atoms.get_chemical_formula() for cut in facing})
        raise CryinGANError(f"{name}: layers={slab.layers} gives {' or '.join(formulas)}, not whole formula units")
    dipoles = [abs(dipole(cut.atoms, charges)) for cut in whole]
    best = whole[int(np.argmin(np.round(dipoles, 6)))]
    if slab.neutralise:
        return _move_half(best, upwards, name)
    if min(dipoles) > SMALL_DIPOLE:
        raise CryinGANError(
            f"{name}: a polar slab, with a dipole of {min(dipoles):.2f} e Angstrom per surface cell: choose other "
            "layers, or set neutralise: true to move half of its outermost layer to the other side"
        )
    return best


def surface_cell(crystal: Atoms, miller: list[int]) -> Atoms:
    """The crystal in a primitive cell whose first two vectors span the surface, with the normal along z.

    Args:
        crystal: conventional cell.
        miller: Miller indices in that cell.
    """
    from ase import Atoms

    basis = _surface_basis(crystal, np.array(miller))
    fractional = crystal.get_scaled_positions() @ np.linalg.inv(basis)
    difference = fractional[:, None] - fractional
    apart = np.linalg.norm((difference - np.round(difference)) @ basis @ np.asarray(crystal.cell), axis=2)
    first = (apart < SAME_ATOM).argmax(axis=1)  # atoms of a centred cell repeat
    distinct = np.flatnonzero(first == np.arange(len(crystal)))
    cell = _upright(basis @ np.asarray(crystal.cell))
    symbols = crystal.symbols[distinct]
    return Atoms(symbols, scaled_positions=fractional[distinct] % 1.0, cell=cell, pbc=True)


def dipole(atoms: Atoms, charges: dict[str, float]) -> float:
    """Dipole moment of formal charges (e) along z, e Angstrom."""
    moments = np.array([charges[symbol] for symbol in atoms.get_chemical_symbols()])
    return float(moments @ atoms.positions[:, 2])


def _surface_basis(crystal: Atoms, miller: np.ndarray) -> np.ndarray:
    """Primitive lattice vectors in fractions of the cell, the first two in the plane, right-handed, shape (3, 3)."""
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    symmetry = SpacegroupAnalyzer(Structure.from_ase_atoms(crystal), SYMMETRY_TOLERANCE).get_symmetry_dataset()
    centring = symmetry.translations[(symmetry.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))]
    grid = np.array(list(product(range(-REACH, REACH + 1), repeat=3)))
    vectors = (grid[:, None] + np.round(centring, 6)).reshape(-1, 3)
    lengths = np.linalg.norm(vectors @ np.asarray(crystal.cell), axis=1)
    vectors = vectors[np.lexsort((*vectors.T, np.round(lengths, 6)))]
    steps = np.round(vectors @ miller, 4)
    in_plane = vectors[(steps == 0) & (np.abs(vectors).max(axis=1) > 0)]
    apart = np.abs(np.cross(in_plane[:1], in_plane)).max(axis=1) > SYMMETRY_TOLERANCE
    if not apart.any():
        raise CryinGANError(f"miller: {miller.tolist()} are too large: no cell of such a surface was found")
    a, b = in_plane[0], in_plane[apart.argmax()]
    c = vectors[steps == steps[steps > 0].min()][0]
    cell = np.asarray(crystal.cell)
    right_handed = np.linalg.det(np.array([a, b, c]) @ cell) > 0
    return np.array([a, b, c] if right_handed else [b, a, c])


def _upright(cell: np.ndarray) -> np.ndarray:
    """The cell rotated so that its first vector is along x and the second in the upper half of the xy plane."""
    return np.linalg.cholesky(cell @ cell.T)


def _stacked_layers(unit: Atoms, tolerance: float) -> tuple[Atoms, list[np.ndarray]]:
    """A surface cell whose boundary cuts no atomic layer, and the atoms of each layer from the bottom up."""
    atoms, period = unit.copy(), unit.cell[2, 2]
    heights = np.sort(atoms.positions[:, 2] % period)
    gaps = np.diff(heights, append=heights[0] + period)
    widest = int(gaps.argmax())
    origin = heights[widest] + gaps[widest] / 2
    atoms.positions -= np.floor((atoms.positions[:, 2] - origin) / period)[:, None] * np.asarray(atoms.cell[2])
    order = np.argsort(atoms.positions[:, 2], kind="stable")
    breaks = np.flatnonzero(np.diff(atoms.positions[order, 2]) > tolerance) + 1
    return atoms, np.split(order, breaks)


def _cut(unit: Atoms, layers: list[np.ndarray], first: int, count: int) -> SurfaceSlab:
    """A slab of `count` layers that starts with layer `first`."""
    repeats, numbers = np.divmod(first + np.arange(count), len(layers))
    pieces = []
    for repeat, number in zip(repeats, numbers, strict=True):
        piece = unit[layers[number]]
        piece.positions += repeat * np.asarray(unit.cell[2])
        pieces.append(piece)
    atoms = sum(pieces[1:], pieces[0])
    atoms.positions[:, 2] -= atoms.positions[:, 2].min()
    atoms.cell[2] = (0, 0, max(1.0, np.ptp(atoms.positions[:, 2])))
    return SurfaceSlab(atoms, np.repeat(np.arange(count), [len(piece) for piece in pieces]))


def _facing_elements(slab: SurfaceSlab, upwards: bool) -> set[str]:
    layer = slab.layers.max() if upwards else 0
    return set(slab.atoms[slab.layers == layer].get_chemical_symbols())


def _faces(slab: SurfaceSlab, elements: str | None, upwards: bool) -> bool:
    from pymatgen.core import Composition

    try:
        return elements is None or _facing_elements(slab, upwards) == {str(e) for e in Composition(elements)}
    except ValueError:  # not a formula, so no layer matches
        return False


def _is_whole(atoms: Atoms, crystal: Atoms) -> bool:
    return reduced_formula(atoms) == reduced_formula(crystal)


def _move_half(slab: SurfaceSlab, upwards: bool, name: str) -> SurfaceSlab:
    """Remove half of the outermost layer; its atoms belong to the side that faces the other slab."""
    outermost = 0 if upwards else slab.layers.max()
    atoms = np.flatnonzero(slab.layers == outermost)
    symbols = np.array(slab.atoms.get_chemical_symbols())[atoms]
    order = atoms[np.argsort(symbols, kind="stable")]
    counts = [int((symbols == symbol).sum()) for symbol in sorted(set(symbols))]
    if any(count % 2 for count in counts):
        raise CryinGANError(f"{name}: neutralise: the outermost layer, {', '.join(symbols)}, cannot be halved")
    moved = order[np.arange(len(order)) % 2 == 1]  # every other atom: half of each element
    kept = np.setdiff1d(np.arange(len(slab.atoms)), moved)
    elements = tuple(slab.atoms[moved].get_chemical_symbols())
    return SurfaceSlab(slab.atoms[kept], slab.layers[kept], elements)


def _charges(crystal: Atoms, slab: Slab) -> dict[str, float]:
    """Formal charge of every element; all zero where no guess is neutral, as in a metal."""
    from pymatgen.core import Composition

    if slab.oxidation_states:
        if lacking := sorted(set(crystal.get_chemical_symbols()) - set(slab.oxidation_states)):
            raise CryinGANError(f"{reduced_formula(crystal)}: oxidation_states lacks {', '.join(lacking)}")
        return dict(slab.oxidation_states)
    guesses = Composition(reduced_formula(crystal)).oxi_state_guesses()
    return dict(guesses[0]) if guesses else dict.fromkeys(crystal.get_chemical_symbols(), 0.0)
