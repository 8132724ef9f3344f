"""Structures of one cell and one species order, the form in which the project passes structures on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryingan.structures.constraints import ase_constraints, fixed_directions, stacked

if TYPE_CHECKING:
    from ase import Atoms

SAME_POSITION = 1e-6  # Angstrom; extended XYZ has 1e-8, and the last digits depend on the processor


@dataclass(frozen=True, eq=False)
class Crystals:
    """Structures that share a cell and a species order.

    Attributes:
        fractional: fractional coordinates in [0, 1), float64, shape (structures, atoms, 3).
        cell: lattice vectors in rows, Angstrom, float64, shape (3, 3).
        species: chemical symbol of every atom, length atoms.
        fixed: Cartesian directions in which an atom keeps its place when structures are repaired and relaxed, bool,
            shape (structures, atoms, 3); None where all atoms are free.

    Example:
        >>> fractional = np.random.default_rng(0).random((3, 2, 3))
        >>> crystals = Crystals(fractional, 4.0 * np.eye(3), ("Li", "Cl"))
        >>> len(crystals), len(crystals[0]), len(crystals[1:]), len(crystals[[True, False, True]])
        (3, 1, 2, 2)
        >>> crystals[-1].to_ase()
        [Atoms(symbols='LiCl', pbc=True, cell=[4.0, 4.0, 4.0])]
        >>> crystals
        Crystals(3 structures, 2 atoms: Li1 Cl1, cell 4.00 x 4.00 x 4.00 A)
    """

    fractional: np.ndarray
    cell: np.ndarray
    species: tuple[str, ...]
    fixed: np.ndarray | None = None

    def __post_init__(self) -> None:
        fractional = np.asarray(self.fractional, dtype=np.float64)
        cell = np.asarray(self.cell, dtype=np.float64)
        if fractional.ndim != 3 or fractional.shape[1:] != (len(self.species), 3):
            raise ValueError(
                f"fractional has shape {fractional.shape}; with {len(self.species)} species it must be "
                f"(structures, {len(self.species)}, 3)"
            )
        if cell.shape != (3, 3):
            raise ValueError(f"cell has shape {cell.shape}; it must be (3, 3)")
        # Rounding can carry a tiny negative coordinate to exactly 1.0, so the remainder is taken twice.
        object.__setattr__(self, "fractional", (fractional % 1.0) % 1.0)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "species", tuple(self.species))
        if self.fixed is not None:
            if np.shape(self.fixed) != fractional.shape:
                raise ValueError(f"fixed has shape {np.shape(self.fixed)}; it must be {fractional.shape}")
            fixed = np.asarray(self.fixed, dtype=bool)
            object.__setattr__(self, "fixed", fixed if fixed.any() else None)

    def __repr__(self) -> str:
        structures = f"{len(self)} structure{'' if len(self) == 1 else 's'}"
        atoms = f"{len(self.species)} atom{'' if len(self.species) == 1 else 's'}"
        formula = " ".join(f"{symbol}{count}" for symbol, count in self.counts.items())
        lengths = " x ".join(f"{length:.2f}" for length in np.linalg.norm(self.cell, axis=1))
        fixed = "" if self.fixed is None else ", some fixed"
        return f"Crystals({structures}, {atoms}: {formula}{fixed}, cell {lengths} A)"

    def __len__(self) -> int:
        return len(self.fractional)

    def __getitem__(self, index: int | slice | Sequence[int] | Sequence[bool] | np.ndarray) -> Crystals:
        """Structures selected by an integer (one structure), a slice, integers or a boolean mask.

        Raises:
            IndexError: an integer is out of range, or a mask has another length.
        """
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return Crystals(
            self.fractional[chosen], self.cell, self.species, None if self.fixed is None else self.fixed[chosen]
        )

    def evenly(self, most: int) -> Crystals:
        """At most so many structures, from the first to the last: a file may begin with structures of one kind."""
        return self[even_numbers(len(self), most)]

    @property
    def counts(self) -> dict[str, int]:
        """Atoms per species, in order of first appearance."""
        return dict(Counter(self.species))

    @property
    def grouping(self) -> np.ndarray:
        """Permutation that makes every species contiguous and keeps the order within each, shape (atoms,)."""
        first = {symbol: rank for rank, symbol in enumerate(self.counts)}
        return np.argsort([first[symbol] for symbol in self.species], kind="stable")

    def reordered(self, permutation: np.ndarray) -> Crystals:
        """The same structures with atom `permutation[i]` at position i."""
        species = tuple(self.species[i] for i in permutation)
        fixed = None if self.fixed is None else self.fixed[:, permutation]
        return Crystals(self.fractional[:, permutation], self.cell, species, fixed)

    def same_as(self, other: Crystals) -> bool:
        """Whether cell and positions are those of other structures within 1e-6 Angstrom, across cell faces too.

        The same atoms have to be fixed.
        """
        if self.species != other.species or len(self) != len(other):
            return False
        if not np.array_equal(*(False if one.fixed is None else one.fixed for one in (self, other))):
            return False
        if not (np.isfinite(self.fractional) == np.isfinite(other.fractional)).all():
            return False
        apart = np.nan_to_num(self.fractional - other.fractional)
        apart = (apart - np.round(apart)) @ self.cell
        return max(np.abs(apart).max(initial=0), np.abs(self.cell - other.cell).max()) <= SAME_POSITION

    def to_ase(self) -> list[Atoms]:
        """One `ase.Atoms` per structure, periodic in all directions, with constraints for fixed atoms."""
        from ase import Atoms

        frames = [
            Atoms(self.species, scaled_positions=fractional, cell=self.cell, pbc=True) for fractional in self.fractional
        ]
        for atoms, fixed in zip(frames, () if self.fixed is None else self.fixed, strict=False):
            atoms.set_constraint(ase_constraints(fixed))
        return frames

    @classmethod
    def from_ase(cls, frames: list[Atoms]) -> Crystals:
        """Structures from frames that share cell and species order, which is not checked, with their fixed atoms.

        Raises:
            CryinGANError: a frame has constraints that cannot be kept, as `fixed_directions` says.
        """
        fractional = np.stack([frame.cell.scaled_positions(frame.positions) for frame in frames])
        fixed = stacked([fixed_directions(frame) for frame in frames], len(frames[0]))
        return cls(fractional, np.asarray(frames[0].cell), tuple(frames[0].get_chemical_symbols()), fixed)


def even_numbers(count: int, most: int) -> np.ndarray:
    """At most so many of the numbers 0, 1, ... `count` - 1, evenly from the first to the last."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)
