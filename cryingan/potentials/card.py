"""The card of a potential: what identifies it, and the energies that show that it was loaded right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class ReferenceEnergy:
    """A structure whose energy tells whether a potential was loaded right.

    Attributes:
        structure: mapping with `symbols` (atoms,), `fractional` (atoms, 3) and `cell` (3, 3) in Angstrom.
        energy: total energy, eV.
        tolerance: largest deviation from `energy` that is accepted, eV.
    """

    structure: Mapping[str, Any]
    energy: float
    tolerance: float

    @property
    def atoms(self) -> Atoms:
        """The structure as a periodic `ase.Atoms`."""
        from ase import Atoms

        structure = self.structure
        return Atoms(structure["symbols"], scaled_positions=structure["fractional"], cell=structure["cell"], pbc=True)


@dataclass(frozen=True)
class PotentialCard:
    """What identifies a potential; energies and thresholds carry its name and hash.

    Attributes:
        name: name of the potential.
        hash: SHA-256 of what its energies depend on: its weights and how they are read, or its settings and version.
        elements: chemical symbols that it knows; empty when only the potential itself can tell.
        references: energies that it must reproduce when loaded.
    """

    name: str
    hash: str
    elements: tuple[str, ...]
    references: tuple[ReferenceEnergy, ...] = ()


def parse_references(references: Sequence[Mapping]) -> tuple[ReferenceEnergy, ...]:
    """References from plain mappings with `symbols`, `fractional`, `cell`, `energy` and `tolerance`.

    Raises:
        CryinGANError: a key is missing or a number is none.
    """
    try:
        return tuple(
            ReferenceEnergy(
                {key: entry[key] for key in ("symbols", "fractional", "cell")},
                float(entry["energy"]),
                float(entry["tolerance"]),
            )
            for entry in references
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CryinGANError(
            f"a reference needs symbols, fractional, cell, energy (eV) and tolerance (eV): {error!r}"
        ) from error
