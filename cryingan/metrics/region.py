"""The slab of a cell that is called the interface region; the paper does not say where its own lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError

# Atoms this near to an edge lie on it, whatever rounding does to them; a fraction of the cell.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Region:
    """A slab between two planes that are parallel to a and b, both edges included.

    Attributes:
        low: where the slab begins along c, a fraction of it.
        high: where it ends; below `low` when the slab goes through the boundary of the cell.

    Raises:
        CryinGANError: an edge is no finite number, or both are the same.

    Example:
        >>> from ase import Atoms
        >>> atoms = Atoms("LiO", positions=[[0, 0, 1], [0, 0, 5]], cell=[4, 4, 10], pbc=True)
        >>> Region(0.8, 0.2).contains(atoms)
        array([ True, False])
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            edge = getattr(self, name)
            if isinstance(edge, bool) or not isinstance(edge, int | float) or not np.isfinite(edge):
                raise CryinGANError(f"region: {name}: {edge!r} must be a number")
        if self.low == self.high:
            raise CryinGANError(f"region: low and high are both {self.low}; they must differ")

    def contains(self, atoms: Atoms) -> np.ndarray:
        """Which atoms of a structure lie in the slab, whichever image of them is given, bool, shape (atoms,)."""
        width = self.high - self.low
        if width < 0:
            width %= 1
        above = (atoms.positions @ np.linalg.inv(atoms.cell.array)[:, 2] - self.low + ROUNDING) % 1
        return above <= width + 2 * ROUNDING
