"""Random structures of a data set, the rival that every generator has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.energies.data_card import card_path, read_data_card
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import mean_structure

if TYPE_CHECKING:
    from data.interface.placement import Placement

STRUCTURES = 20  # of a set, from its first to its last, that show whether it has a lattice
SAME_CELL = 1e-3  # Angstrom, as files of structures are read


class RandomStructures:
    """Atoms anywhere in the cell: the rival of a set that knows no better one.

    Structures have the cell, the composition and the order of atoms of the set, and each depends on the seed and its
    number alone.

    Args:
        template: structures of the set.
        why: why no better one is known; empty where none could be.

    Attributes:
        title: what is random, for headings.
    """

    title = "random atoms"

    def __init__(self, template: Crystals, why: str = "") -> None:
        self.template, self.why = template, why

    def draw(self, n: int, seed: int) -> Crystals:
        """The first `n` structures of a seed."""
        return Crystals(self._fractional(n, seed), self.template.cell, self.template.species)

    def _fractional(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).uniform(size=(n, len(self.template.species), 3))


class RandomOccupation(RandomStructures):
    """All atoms on the sites that the structures of an alloy share, at random.

    Args:
        template: structures of the set.
        sites: fractional coordinates, shape (atoms, 3).
    """

    title = "random occupation"

    def __init__(self, template: Crystals, sites: np.ndarray) -> None:
        super().__init__(template)
        self.sites = sites

    def _fractional(self, n: int, seed: int) -> np.ndarray:
        orders = [np.random.default_rng([seed, number]).permutation(len(self.sites)) for number in range(n)]
        return self.sites[np.array(orders)]


class RandomInterfaces(RandomStructures):
    """Interfaces as their builder places them, before they are relaxed; those of the build have its seed.

    Args:
        template: structures of the set.
        placement: slabs, and the atoms between them.
    """

    title = "random interfaces"

    def __init__(self, template: Crystals, placement: Placement) -> None:
        super().__init__(template)
        self.placement = placement

    def _fractional(self, n: int, seed: int) -> np.ndarray:
        placed = self.placement.structures(seed, range(n))
        order = np.empty(len(placed.species), dtype=int)
        for symbol in placed.counts:
            own, others = (np.flatnonzero(np.array(one.species) == symbol) for one in (self.template, placed))
            order[own] = others
        return placed.fractional[:, order]


def random_structures(crystals: Crystals, path: str | Path, card: str | Path | None = None) -> RandomStructures:
    """The random structures of a data set.

    Those of its builder where its card tells how it was built, random occupation where its structures share all their
    sites and have several species, and otherwise atoms anywhere.

    Args:
        crystals: all structures of the set.
        path: the data file.
        card: its card; None for the one beside the data file.

    Raises:
        CryinGANError: the card or the slabs that it names cannot be read.
    """
    data_card, file = read_data_card(path, card), Path(card or card_path(path))
    if data_card.kind == "interface":
        return _of_interface(crystals, data_card.made or {}, file)
    sites = shared_sites(crystals)
    return RandomStructures(crystals) if sites is None else RandomOccupation(crystals, sites)


def _of_interface(crystals: Crystals, made: Mapping[str, Any], card: Path) -> RandomStructures:
    from data.interface.placement import read_placement

    placement = read_placement(made, card)
    if placement is None:
        return RandomStructures(crystals, f"{card} has no made.slabs; the build of a set with collect=true adds them")
    cell, counts = np.asarray(placement.slabs.cell), _counts(placement.species)
    if counts != _counts(crystals.species) or not np.allclose(cell, crystals.cell, atol=SAME_CELL):
        return RandomStructures(crystals, f"made.slabs of {card} have another cell or composition")
    return RandomInterfaces(crystals, placement)


def shared_sites(crystals: Crystals) -> np.ndarray | None:
    """The sites that all structures have in common, whatever sits there; fractional coordinates, shape (atoms, 3).

    None where structures differ in their sites, as those of an interface or a glass do, and for a single species.
    """
    if len(crystals.counts) == 1 or len(crystals) < 2:
        return None
    some = crystals.evenly(STRUCTURES)
    alike = Crystals(some.fractional, some.cell, crystals.species[:1] * len(crystals.species))
    mean = mean_structure(alike)
    return None if mean.disordered.any() else mean.sites.fractional[0]


def _counts(species: tuple[str, ...]) -> dict[str, int]:
    return {symbol: species.count(symbol) for symbol in sorted(set(species))}
