"""What CDVAE, DiffCSP and their descendants save of the structures that they generate: tensors in a file of torch."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line
from cryingan.structures.frames import RawFrame

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("frac_coords", "atom_types", "num_atoms", "lengths", "angles")


class Settings:
    """What a program keeps of its command line beside its structures, in the place of its own class; not used."""


def load_generated(path: Path) -> list[Tensor]:
    """The five tensors of a file, each with a first axis for the passes over the same inputs.

    Returns:
        Fractional coordinates (passes, atoms, 3) and atomic numbers (passes, atoms) of all structures; numbers of atoms
        (passes, structures), lengths in Angstrom and angles in degrees (passes, structures, 3).

    Raises:
        CryinGANError: the file is none of torch, holds objects other than plain ones, or no such tensors.
    """
    import torch

    try:
        with torch.serialization.safe_globals([(Settings, "argparse.Namespace")]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CryinGANError(
            f"{path} is no file of torch, or holds more than tensors, which could run code: save {', '.join(KEYS)} "
            "alone, with torch.save"
        ) from error
    except Exception as error:  # torch raises whatever the bytes lead it to
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)} (read as a file of torch)") from error
    if lacking := [key for key in KEYS if not isinstance(content, dict) or not torch.is_tensor(content.get(key))]:
        raise CryinGANError(f"{path} has no tensor {lacking[0]}, as the files of CDVAE and DiffCSP have")
    dimensions = {"frac_coords": 2, "atom_types": 1, "num_atoms": 1, "lengths": 2, "angles": 2}
    dense = [content[key].detach().to_dense() for key in KEYS]
    tensors = [one if one.dim() > dimensions[key] else one[None] for key, one in zip(KEYS, dense, strict=True)]
    _require_shapes(path, tensors)
    return tensors


def _require_shapes(path: Path, tensors: list[Tensor]) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        CryinGANError: names the shapes.
    """
    coordinates, numbers, counts, *cell = tensors
    passes, atoms = coordinates.shape[:2]
    fits = numbers.shape == (passes, atoms) and all(one.shape == (*counts.shape, 3) for one in cell)
    if not fits or coordinates.dim() != 3 or (counts.long().sum(dim=1) != atoms).any() or (counts < 1).any():
        shapes = ", ".join(f"{key} {tuple(one.shape)}" for key, one in zip(KEYS, tensors, strict=True))
        raise CryinGANError(f"{path}: {shapes} do not belong to the same structures")


def iterate_generated(path: Path) -> Iterator[RawFrame]:
    """The structures of a file, pass by pass.

    Raises:
        CryinGANError: the file cannot be read.
    """
    from ase import Atoms

    tensors, number = load_generated(path), 0
    total = tensors[2].numel()
    for coordinates, numbers, counts, lengths, angles in zip(*tensors, strict=True):
        parts = [one.split(counts.long().tolist()) for one in (coordinates.double(), numbers.long())]
        for fractional, species, *cell in zip(*parts, lengths.double(), angles.double(), strict=True):
            number += 1
            where = f"{path}, frame {number}"
            parameters = [value for part in cell for value in part.tolist()]
            try:
                outcome = Atoms(species.numpy(), scaled_positions=fractional.numpy(), cell=parameters, pbc=True)
            except Exception:  # ASE raises whatever lengths and angles lead it to
                outcome = CryinGANError(f"{where}: no cell has the lengths and angles {parameters}")
            yield RawFrame(outcome, where, number / total, {})
