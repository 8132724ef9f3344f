"""Checks of a frame by itself, and against the first frame of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.constraints import fixed_directions

if TYPE_CHECKING:
    from ase import Atoms

    from cryingan.structures.frames import RawFrame

SAME_CELL = 1e-3  # Angstrom; cells of one set that differ by less differ by the rounding of programs with few digits
COMPARABLE_CELL = 1e-3  # Angstrom; cells of samples, training set and benchmark that differ by more are different
CLOSEST = 0.1  # Angstrom; atoms closer than this are one atom written twice
THINNEST = 0.25  # Angstrom, above 2 CLOSEST; a cell with opposite faces closer than this has lost a dimension
FARTHEST = 1e6  # Angstrom; beyond this a position or a cell vector has lost its significant digits


class CheckedFrame(NamedTuple):
    """One frame that passed the checks of a single frame.

    Attributes:
        numbers: atomic numbers, shape (atoms,).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        fractional: fractional coordinates in [0, 1), shape (atoms, 3); NaN for atoms without a usable position.
        where: file and frame, for messages.
        fixed: Cartesian directions in which atoms are fixed, bool, shape (atoms, 3); None where all are free.
        not_kept: why its constraints cannot be kept, in one line; empty if they can.
    """

    numbers: np.ndarray
    cell: np.ndarray
    fractional: np.ndarray
    where: str
    fixed: np.ndarray | None = None
    not_kept: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Chemical symbol of every atom, length atoms."""
        from ase.data import chemical_symbols

        return tuple(chemical_symbols[number] for number in self.numbers)


def checked(frame: RawFrame, closest: float, *, not_finite: bool = False) -> CheckedFrame:
    """Check species, cell, boundary conditions and positions of a frame.

    Args:
        frame: the frame as it was read.
        closest: Angstrom; atoms closer than this are refused.
        not_finite: accept positions that are not finite or too far away; they become NaN.

    Returns:
        The frame as arrays.

    Raises:
        CryinGANError: the frame cannot be read, or fails a check; names the place, the atoms (from 1) and what is
            wrong.
    """
    atoms, where = frame.outcome, frame.where
    if isinstance(atoms, CryinGANError):
        raise atoms
    if len(atoms) == 0:
        raise CryinGANError(f"{where} has no atoms")
    check_species(atoms, where)
    cell = np.array(atoms.cell)
    check_cell(cell, where)
    if not atoms.pbc.all():
        given = " ".join("FT"[int(periodic)] for periodic in atoms.pbc)
        raise CryinGANError(f'{where}: pbc is "{given}"; crystals are periodic in all directions, pbc="T T T"')
    beyond = ~(np.abs(atoms.positions) <= FARTHEST).all(axis=1)
    if beyond.any() and not not_finite:
        first = int(beyond.argmax())
        x, y, z = atoms.positions[first]
        raise CryinGANError(
            f"{where}, atom {first + 1}: position ({x:g}, {y:g}, {z:g}) is not finite or beyond {FARTHEST:g} Angstrom"
        )
    positions = np.where(beyond[:, None], np.nan, atoms.positions)
    fractional = (np.linalg.solve(cell.T, positions.T).T % 1.0) % 1.0
    if not beyond.any():
        check_distances(fractional, cell, where, closest)
    try:
        return CheckedFrame(atoms.numbers, cell, fractional, where, fixed_directions(atoms, where))
    except CryinGANError as error:
        return CheckedFrame(atoms.numbers, cell, fractional, where, not_kept=str(error))


def check_species(atoms: Atoms, where: str) -> None:
    """Refuse unknown elements and partly occupied sites."""
    from ase.data import chemical_symbols

    unknown = (atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols))
    if unknown.any():
        first = int(unknown.argmax())
        raise CryinGANError(f"{where}, atom {first + 1}: unknown element (atomic number {atoms.numbers[first]})")
    if site := partly_occupied(atoms):
        number, occupancy = site
        raise CryinGANError(f"{where}, site {number}: partly occupied by {', '.join(occupancy)}; atoms must be whole")


def partly_occupied(atoms: Atoms) -> tuple[Any, Mapping[str, float]] | None:
    """The first site that is shared or not always occupied: its key in `atoms.info`, and the occupancy by species."""
    sites = (atoms.info.get("occupancy") or {}).items()
    return next((site for site in sites if len(site[1]) > 1 or min(site[1].values()) < 1), None)


def check_cell(cell: np.ndarray, where: str) -> None:
    """Refuse cells that are missing, not finite or flat; accept left-handed ones."""
    if not cell.any():
        raise CryinGANError(f"{where} has no cell: a crystal needs three lattice vectors (Lattice in extended XYZ)")
    if not (np.abs(cell) <= FARTHEST).all():
        raise CryinGANError(f"{where}: the cell is not finite or beyond {FARTHEST:g} Angstrom")
    areas = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    height = abs(np.linalg.det(cell)) / areas.max() if areas.all() else 0.0
    if height < THINNEST:
        raise CryinGANError(
            f"{where}: the cell is flat: two opposite faces are {height:.2g} Angstrom apart, at least {THINNEST} needed"
        )


def check_distances(fractional: np.ndarray, cell: np.ndarray, where: str, closest: float) -> None:
    """Refuse two atoms closer than `closest` (Angstrom, at most CLOSEST), in any cell and across its faces."""
    from scipy.spatial import cKDTree

    # Two points closer than d differ by at most d / height in each fractional coordinate, height being the distance
    # between the faces. That is below a half here, so rounding gives the nearest image. A periodic tree is used because
    # its memory does not depend on the size of the cell, and it is faster here than a search by boxes.
    reach = closest * np.linalg.norm(np.linalg.inv(cell), axis=0).max() * (1 + 1e-9)
    pairs = cKDTree(fractional, boxsize=1.0).query_pairs(reach, p=np.inf, output_type="ndarray")
    difference = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    distances = np.linalg.norm((difference - np.round(difference)) @ cell, axis=1)
    if (distances < closest).any():
        pair = int(distances.argmin())
        i, j = sorted(pairs[pair] + 1)
        raise CryinGANError(
            f"{where}: atoms {i} and {j} are {distances[pair]:.3f} Angstrom apart; at least {closest} is needed"
        )


def matched(frame: CheckedFrame, first: CheckedFrame, *, sort_species: bool = False) -> CheckedFrame:
    """Match a frame to the first frame of its file.

    Args:
        frame: any frame of the file.
        first: the first frame, of this file or another one.
        sort_species: bring atoms into the species order of the first frame; atoms of one species keep their order.
            Otherwise another order is refused.

    Returns:
        The frame in the species order of the first frame.

    Raises:
        CryinGANError: cell, number of atoms, composition or order differ from the first frame's.
    """
    where, before = frame.where, name_of_first(frame, first)
    if len(frame.numbers) != len(first.numbers):
        raise CryinGANError(f"{where} has {len(frame.numbers)} atoms, but {before} has {len(first.numbers)}")
    deviation = np.abs(frame.cell - first.cell).max()
    if deviation > SAME_CELL:
        raise CryinGANError(
            f"{where}: the cell differs from {before}'s by {deviation:.2g} Angstrom; all cells must be equal within "
            f"{SAME_CELL:g} Angstrom"
        )
    different = frame.numbers != first.numbers
    if not different.any():
        return frame
    if Counter(frame.numbers.tolist()) != Counter(first.numbers.tolist()):
        given, expected = (formula(Counter(each.symbols)) for each in (frame, first))
        raise CryinGANError(f"{where} is {given}, but {before} is {expected}: compositions must be equal")
    if not sort_species:
        atom = int(different.argmax())
        raise CryinGANError(
            f"{where}, atom {atom + 1} is {frame.symbols[atom]}, but {first.symbols[atom]} in {before}; "
            "train.py data.sort_species=true matches frames by species"
        )
    order = np.empty(len(frame.numbers), dtype=int)
    order[np.argsort(first.numbers, kind="stable")] = np.argsort(frame.numbers, kind="stable")
    fixed = None if frame.fixed is None else frame.fixed[order]
    return frame._replace(numbers=frame.numbers[order], fractional=frame.fractional[order], fixed=fixed)


def name_of_first(frame: CheckedFrame, first: CheckedFrame) -> str:
    """The first frame as a message about another one names it: its file only where that is another one."""
    file, _, number = first.where.rpartition(", ")
    return number if frame.where.startswith(f"{file}, frame ") else first.where


def formula(composition: Mapping[str, int]) -> str:
    """Formula of a composition in its order, such as Li4O2."""
    return "".join(f"{symbol}{count}" for symbol, count in composition.items())
