"""Atoms that stay where they are: between the constraints of ASE and an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

PARALLEL = 1e-6  # largest sine of the angle between vectors that count as parallel


def fixed_directions(atoms: Atoms, where: str = "the structure") -> np.ndarray | None:
    """Cartesian directions in which atoms are fixed, bool, shape (atoms, 3); None where all atoms are free.

    Raises:
        CryinGANError: a constraint is another one than ASE's `FixAtoms`, `FixCartesian` and `FixScaled`, or fixes
            coordinates along lattice vectors (selective dynamics of VASP) that are not Cartesian ones.

    Example:
        >>> from ase import Atoms
        >>> from ase.constraints import FixAtoms
        >>> atoms = Atoms("LiCl", constraint=FixAtoms([0]))
        >>> fixed_directions(atoms).tolist()
        [[True, True, True], [False, False, False]]
    """
    if not atoms.constraints:
        return None
    fixed = np.zeros((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        kind = type(constraint).__name__
        if kind == "FixAtoms":
            mask = np.ones(3, dtype=bool)
        elif kind == "FixCartesian":
            mask = constraint.mask
        elif kind == "FixScaled":
            mask = _cartesian(constraint.mask, np.asarray(atoms.cell), f"{where}, atom {constraint.index[0] + 1}")
        else:
            raise CryinGANError(
                f"{where}: {kind} cannot be kept; fixed atoms can be (move_mask, selective dynamics, FixAtoms, "
                "FixCartesian)"
            )
        fixed[constraint.index] |= mask
    return fixed if fixed.any() else None


def _cartesian(mask: np.ndarray, cell: np.ndarray, where: str) -> np.ndarray:
    """The Cartesian directions that are fixed when the coordinates along the lattice vectors of a mask are."""
    if mask.all():
        return mask
    involved = _components(cell)[mask].any(axis=0)
    if involved.sum() != mask.sum():
        flags = " ".join("F" if fixed else "T" for fixed in mask)
        raise CryinGANError(
            f"{where}: selective dynamics {flags} fixes a direction that is not along x, y or z in this cell; fix "
            "whole atoms (F F F)"
        )
    return involved


def _components(cell: np.ndarray) -> np.ndarray:
    """Whether the normal of the plane of constant fractional coordinate i has a component along x, y, z, row by row."""
    normals = np.linalg.inv(cell).T
    return np.abs(normals) > PARALLEL * np.linalg.norm(normals, axis=1, keepdims=True)


def lattice_directions(fixed: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Lattice vectors along which atoms are fixed, as POSCAR has them, from Cartesian directions.

    Args:
        fixed: Cartesian directions, bool, shape (atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).

    Raises:
        CryinGANError: a fixed direction is none of the cell's.
    """
    along = ~(_components(cell)[None] & ~fixed[:, None]).any(axis=2)
    wrong = along.sum(axis=1) != fixed.sum(axis=1)
    if wrong.any():
        raise CryinGANError(
            f"atom {wrong.argmax() + 1} is fixed in a Cartesian direction that is none of the cell's; POSCAR cannot "
            "hold it"
        )
    return along


def ase_constraints(fixed: np.ndarray) -> list:
    """ASE's constraints for Cartesian directions in which atoms are fixed, bool, shape (atoms, 3)."""
    from ase.constraints import FixAtoms, FixCartesian

    constraints: list = []
    for mask in np.unique(fixed[fixed.any(axis=1)], axis=0):
        indices = np.flatnonzero((fixed == mask).all(axis=1))
        constraints.append(FixAtoms(indices) if mask.all() else FixCartesian(indices, mask))
    return constraints


def stacked(fixed: Sequence[np.ndarray | None], atoms: int) -> np.ndarray | None:
    """`fixed_directions` of several structures as one array, shape (structures, atoms, 3); None where all are free."""
    if all(one is None for one in fixed):
        return None
    return np.stack([np.zeros((atoms, 3), dtype=bool) if one is None else one for one in fixed])
