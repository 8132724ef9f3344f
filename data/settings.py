"""Settings of a data set, with their defaults and ranges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from cryingan.errors import CryinGANError


@dataclass
class DataSettings:
    """The training structures, their split and their batches.

    Plain values, importable without torch: the schema of the configuration group `data` and the argument of
    `data.module.StructureData`.

    Attributes:
        path: structures of one cell and one composition: a file in any format that ASE reads, or a folder or pattern
            of such files.
        card: the data set's card, see `cryingan.energies.data_card`; without it the one beside the file, if any.
        width: which of several files of a set `path` names; only configurations of such sets use it.
        types: elements of the types 1, 2, ... of a file that gives none, such as a dump of LAMMPS.
        sort_species: reorder frames whose species come in another order, instead of refusing them.
        shift: the new origin of the coordinates that the model learns, in fractions of the cell; `auto`: where few
            atoms are. Samples have the origin of the file again.
        translate: whether each structure is translated at random in every epoch, along the axes in which no place is
            special: True for those of the plane of an interface, and for all of bulk, as the card says; or the axes
            themselves, such as `ab`.
        validation: fraction of the structures that is held out, in [0, 1).
        split_seed: seed of the split, separate from that of the run: all seeds train on the same structures.
        batch_size: structures per batch and process.

    Raises:
        CryinGANError: a value is out of range.
    """

    path: str = MISSING
    card: str | None = None
    width: str = "wide"
    types: list[str] = field(default_factory=list)
    sort_species: bool = False
    shift: Any = None
    translate: Any = False
    validation: float = 0.2
    split_seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise CryinGANError(f"data.batch_size={self.batch_size}: it must be at least 1")
        if not 0 <= self.validation < 1:
            raise CryinGANError(f"data.validation={self.validation}: it must be at least 0 and less than 1")
