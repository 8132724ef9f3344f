"""Random translations of training structures along the axes in which no place is special."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cryingan.energies.data_card import card_path, read_data_card
from cryingan.errors import CryinGANError
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import mean_structure

AXES = "abc"
FEW = 16  # structures that tell whether all share their sites


def axes_of(translate: Any, path: str | Path, card: str | Path | None = None) -> tuple[int, ...]:
    """The axes that a setting means: 0, 1, 2 for a, b, c.

    Args:
        translate: False; True for those of the plane of an interface, and for all of bulk, as the card says; or the
            axes themselves, such as `ab`.
        path: the data file.
        card: its card; None for the one beside the data file.

    Raises:
        CryinGANError: `translate` is something else, or there is no card that says what the set is.

    Example:
        >>> axes_of("ab", "structures.extxyz")
        (0, 1)
    """
    if translate is False or translate is None:
        return ()
    if translate is True:
        if card is None and not card_path(path).exists():
            raise CryinGANError(
                f"data.translate=true needs a card that says what the set is, {card_path(path)} or data.card; or name "
                "the axes: data.translate=ab for an interface in the plane of a and b, abc for an amorphous solid; an "
                "alloy does without"
            )
        found = read_data_card(path, card)
        return tuple(n for n, axis in enumerate(AXES) if found.kind != "interface" or axis != found.area_axis)
    if not isinstance(translate, str) or not translate or len(set(translate) & set(AXES)) < len(translate):
        raise CryinGANError(f"data.translate={translate}: it must be true, false or the axes, such as ab")
    return tuple(n for n, axis in enumerate(AXES) if axis in translate)


def require_no_lattice(structures: Crystals, path: str | Path) -> None:
    """Refuse bulk structures whose atoms, of whatever species, lie at common sites.

    Raises:
        CryinGANError: they do, as in an alloy.
    """
    some = structures[:FEW]
    if mean_structure(Crystals(some.fractional, some.cell, ("X",) * len(some.species))).shared:
        raise CryinGANError(
            f"data.translate=true: all structures of {path} have their atoms at common sites, as an alloy has, which "
            "translations would smear: leave data.translate out; data.translate=abc translates them all the same"
        )


def translations(count: int, axes: tuple[int, ...], seed: int, epoch: int) -> Tensor:
    """One for each structure of a set in an epoch, in fractions of the cell, shape (structures, 1, 3); 0 elsewhere."""
    drawn = torch.rand(count, 1, 3, generator=generator(seed, "translations", epoch))
    return drawn * torch.tensor([float(axis in axes) for axis in range(3)])
