"""Two slabs and the atoms placed at random between them: the structures of a build, from its card alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import replace_file
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from data.interface.region import random_positions
from data.interface.systems import Region

if TYPE_CHECKING:
    from ase import Atoms

SLABS = "slabs.extxyz"
SAME_SLABS = 1e-4  # Angstrom
Placed = TypeVar("Placed", bound="Placement")


@dataclass(frozen=True)
class Placement:
    """Slabs in a common cell, and the atoms to be placed between them.

    Attributes:
        slabs: atoms of the substrate below and of the film above, in the cell of the interface.
        random: element of every atom of the disordered region.
        bounds: heights of the layers that face each other, Angstrom.
        region: disordered region between them.
    """

    slabs: Atoms
    random: tuple[str, ...]
    bounds: tuple[float, float]
    region: Region

    @property
    def species(self) -> tuple[str, ...]:
        """Element of every atom of a structure."""
        symbols = [*self.slabs.get_chemical_symbols(), *self.random]
        return tuple(symbols[i] for i in self.order)

    @cached_property
    def order(self) -> np.ndarray:
        """Permutation that makes every element contiguous, shape (atoms,): by first appearance, random atoms last."""
        symbols = [*self.slabs.get_chemical_symbols(), *self.random]
        first = {symbol: rank for rank, symbol in enumerate(dict.fromkeys(symbols))}
        return np.argsort([first[symbol] for symbol in symbols], kind="stable")

    def structures(self, seed: int, numbers: Sequence[int]) -> Crystals:
        """Structures with random regions; each depends on the seed and its own number alone.

        Raises:
            CryinGANError: the region has no room for its atoms.
        """
        cell = np.asarray(self.slabs.cell)
        positions = [
            np.concatenate([self.slabs.positions, self._placed(np.random.default_rng([seed, number]))])[self.order]
            for number in numbers
        ]
        return Crystals(np.array(positions) @ np.linalg.inv(cell), cell, self.species)

    def _placed(self, random: np.random.Generator) -> np.ndarray:
        return random_positions(self.slabs, self.random, self.bounds, self.region, random)


def write_slabs(placement: Placement, path: Path) -> None:
    """Write the slabs as extended XYZ, the same bytes each time."""
    slabs = placement.slabs
    lattice = " ".join(f"{x:.8f}" for x in np.ravel(slabs.cell))
    lines = [
        str(len(slabs)),
        f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"',
        *(f"{atom.symbol:<2s} {atom.x:.8f} {atom.y:.8f} {atom.z:.8f}" for atom in slabs),
    ]
    with replace_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def with_slabs_of(folder: Path, placement: Placed) -> Placed:
    """A placement with its origin where that of the slabs in a folder is.

    Symmetry makes several gaps between atoms equally wide; on another processor rounding chooses another one.

    Args:
        folder: where `write_slabs` wrote `SLABS`; without it, and beside other slabs, the placement stays.
        placement: as assembled here.
    """
    if not (folder / SLABS).exists():
        return placement
    [there], here = read_structures(folder / SLABS).to_ase(), placement.slabs
    if list(there.symbols) != list(here.symbols) or not np.allclose(there.cell, here.cell, atol=SAME_SLABS):
        return placement
    if _apart(there, here) < SAME_SLABS:
        return placement  # with all its digits
    moved = here.copy()
    moved.positions += there.positions[0] - here.positions[0]
    return replace(placement, slabs=there) if _apart(there, moved) < SAME_SLABS else placement


def _apart(slabs: Atoms, others: Atoms) -> float:
    """The largest distance between an atom of slabs and the same atom of others, Angstrom."""
    fractional = (slabs.positions - others.positions) @ np.linalg.inv(others.cell)
    return float(np.linalg.norm((fractional - np.round(fractional)) @ np.asarray(others.cell), axis=1).max())


def slab_facts(placement: Placement) -> dict[str, Any]:
    """What a card says of the slabs: their file, the atoms between them in the order of their placing, and where."""
    heights = [round(float(height), 8) for height in placement.bounds]
    return {"file": SLABS, "placed": " ".join(placement.random), "heights": heights}


def read_placement(made: Mapping[str, Any], card: Path) -> Placement | None:
    """The placement of a built set; None where its card names no slabs, as those of earlier versions.

    Args:
        made: how the set was made, `made` of its card.
        card: the card; the file of the slabs is beside it.

    Raises:
        CryinGANError: the slabs cannot be read, or the card lacks what belongs to them.
    """
    if "slabs" not in made:
        return None
    try:
        facts, region = made["slabs"], made["region"]
        file, placed = str(facts["file"]), tuple(str(facts["placed"]).split())
        low, high = map(float, facts["heights"])
        region = Region(0, float(region["thickness"]), {**region["minimum_distances"]})
    except (KeyError, TypeError, ValueError) as error:
        lacking = "made.slabs needs file, placed and heights [low, high], and made.region its distances"
        raise CryinGANError(f"{card}: {lacking}: {error!r}") from error
    [slabs] = read_structures(card.parent / file)[:1].to_ase()
    return Placement(slabs, placed, (low, high), region)
