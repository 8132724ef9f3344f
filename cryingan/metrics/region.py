"""The slab of a cell that is called the interface region; the paper does not say where its own lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from ase import Atoms

UNITS = ("fractional", "angstrom")
# Atoms this near to an edge lie on it, whatever rounding does to them; a fraction of the cell.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Region:
    """A slab between two planes that are parallel to two lattice vectors, both edges included.

    Attributes:
        low: where the slab begins along the third vector, a fraction of it, or a height above the plane of the other
            two in Angstrom.
        high: where it ends; below `low` when the slab goes through the boundary of the cell.
        unit: `fractional` or `angstrom`.
        axis: the lattice vector that does not lie in the plane, `a`, `b` or `c`.

    Raises:
        CryinGANError: an edge is no finite number, both are the same, or the unit or the axis is unknown.
    """

    low: float
    high: float
    unit: str = "fractional"
    axis: str = "c"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            edge = getattr(self, name)
            if isinstance(edge, bool) or not isinstance(edge, int | float) or not np.isfinite(edge):
                raise CryinGANError(f"region: {name}: {edge!r} must be a number")
        if self.low == self.high:
            raise CryinGANError(f"region: low and high are both {self.low}; they must differ")
        if self.unit not in UNITS:
            raise CryinGANError(f"region: unit: {self.unit!r} must be one of {', '.join(UNITS)}")
        if self.axis not in ("a", "b", "c"):
            raise CryinGANError(f"region: axis: {self.axis!r} must be one of a, b, c")

    def contains(self, atoms: Atoms) -> np.ndarray:
        """Which atoms of a structure lie in the slab, whichever image of them is given, bool, shape (atoms,)."""
        axis = "abc".index(self.axis)
        inverse = np.linalg.inv(atoms.cell.array)
        scale = 1.0 if self.unit == "fractional" else np.linalg.norm(inverse[:, axis])  # 1 / height of the cell
        low, width = self.low * scale, (self.high - self.low) * scale
        if width < 0:
            width %= 1
        above = (atoms.positions @ inverse[:, axis] - low + ROUNDING) % 1
        return above <= width + 2 * ROUNDING
