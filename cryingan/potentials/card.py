"""The card of a potential: its name and hash, and reference energies that show whether it was loaded correctly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from cryingan.errors import CryinGANError

CARD_FILE = "card.json"


@dataclass(frozen=True)
class ReferenceEnergy:
    """A structure and its energy, which a correctly loaded potential reproduces.

    Attributes:
        atoms: the structure, periodic.
        energy: total energy, eV.
        tolerance: largest accepted deviation from `energy`, eV.
    """

    atoms: Atoms
    energy: float
    tolerance: float


@dataclass(frozen=True)
class PotentialCard:
    """Identity of a potential; energies and thresholds carry its name and hash.

    Attributes:
        name: name of the potential.
        hash: SHA-256 of what its energies depend on: weights and message convention, or settings and version.
        elements: chemical symbols that it knows; empty if only the potential itself can tell.
        references: energies that it must reproduce on loading.
    """

    name: str
    hash: str
    elements: tuple[str, ...]
    references: tuple[ReferenceEnergy, ...] = ()


def parse_references(references: Sequence[Mapping]) -> tuple[ReferenceEnergy, ...]:
    """Read reference energies from plain mappings.

    Args:
        references: mappings with `symbols`, `fractional`, `cell` (Angstrom), `energy` (eV) and `tolerance` (eV).

    Raises:
        CryinGANError: a key is missing or has no such value.
    """
    from ase import Atoms

    try:
        return tuple(
            ReferenceEnergy(
                Atoms(entry["symbols"], scaled_positions=entry["fractional"], cell=entry["cell"], pbc=True),
                float(entry["energy"]),
                float(entry["tolerance"]),
            )
            for entry in references
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CryinGANError(
            f"a reference needs symbols, fractional, cell, energy (eV) and tolerance (eV): {error!r}"
        ) from error


def saved_card(path: Path, weights: str, remedy: str = "remove it") -> tuple[str, Sequence[Mapping]] | None:
    """The name and the references in the card of a potential; None where there is no file.

    Args:
        path: of the card, JSON with `name`, `references`, and perhaps the `hash` of the weights.
        weights: SHA-256 of the weights.
        remedy: what to do with a card of others.

    Raises:
        CryinGANError: the card cannot be read or belongs to other weights.
    """
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text())
        name, references, owner = card["name"], card["references"], card.get("hash", weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CryinGANError(f"{path} is no card with a name and references: {error!r}") from error
    if owner != weights:
        raise CryinGANError(f"{path} is the card of other weights: {owner[:12]}, these are {weights[:12]}; {remedy}")
    return name, references
