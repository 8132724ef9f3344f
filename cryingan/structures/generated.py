"""What CDVAE, DiffCSP and their descendants save of the structures that they generate: tensors in a file of torch."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line
from cryingan.structures.frames import RawFrame

if TYPE_CHECKING:
    from ase import Atoms
    from torch import Tensor

DIMENSIONS = {"frac_coords": 2, "atom_types": 1, "num_atoms": 1, "lengths": 2, "angles": 2}
"""Tensors of a file, and their dimensions; there may be one more in front."""
KEYS = tuple(DIMENSIONS)
WHOLE = ("atom_types", "num_atoms")
HEAVIEST = 118


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
    for key in KEYS:
        _require_plain(path, key, content[key])
    tensors = [one if one.dim() > DIMENSIONS[key] else one[None] for key in KEYS for one in (content[key].detach(),)]
    _require_shapes(path, tensors)
    return tensors


def _require_plain(path: Path, key: str, tensor: Tensor) -> None:
    """Refuse a tensor that has other than real numbers in memory, or not whole ones where they count.

    Raises:
        CryinGANError: names it.
    """
    import torch

    kind = str(tensor.dtype).removeprefix("torch.")
    real = kind.startswith(("float", "bfloat", "int", "uint"))
    if tensor.is_nested or tensor.layout != torch.strided or tensor.device.type != "cpu" or not real:
        layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise CryinGANError(
            f"{path}: {key} must be a dense tensor of real numbers, not {layout} {kind} on {tensor.device.type}"
        )
    if tensor.dim() - DIMENSIONS[key] not in (0, 1):
        raise CryinGANError(
            f"{path}: {key} has the shape {tuple(tensor.shape)}: {DIMENSIONS[key]} axes are expected, or one more"
        )
    if key in WHOLE and (bad := tensor.double()[tensor.double() % 1 != 0]).numel():
        raise CryinGANError(f"{path}: {key} must be whole numbers, not {bad[0].item():g}")


def _require_shapes(path: Path, tensors: list[Tensor]) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        CryinGANError: names the shapes.
    """
    coordinates, numbers, counts, *cell = tensors
    fits = numbers.dim() == counts.dim() == 2 and coordinates.shape == (*numbers.shape, 3)
    fits = fits and all(one.shape == (*counts.shape, 3) for one in cell) and len(counts) == len(numbers)
    sizes = counts.double()
    if not fits or (sizes < 1).any() or (sizes.sum(dim=1) != numbers.shape[1]).any():
        shapes = ", ".join(f"{key} {tuple(one.shape)}" for key, one in zip(KEYS, tensors, strict=True))
        raise CryinGANError(f"{path}: {shapes} do not belong to the same structures")


def iterate_generated(path: Path) -> Iterator[RawFrame]:
    """The structures of a file, pass by pass.

    Raises:
        CryinGANError: the file cannot be read.
    """
    tensors, number = load_generated(path), 0
    total = tensors[2].numel()
    for coordinates, numbers, counts, lengths, angles in zip(*tensors, strict=True):
        parts = [one.split(counts.long().tolist()) for one in (coordinates.double(), numbers.long())]
        for fractional, species, *cell in zip(*parts, lengths.double(), angles.double(), strict=True):
            number += 1
            where = f"{path}, frame {number}"
            parameters = [value for part in cell for value in part.tolist()]
            yield RawFrame(_structure(where, species, fractional, parameters), where, number / total, {})


def _structure(where: str, species: Tensor, fractional: Tensor, parameters: list[float]) -> Atoms | CryinGANError:
    """One structure, or what is wrong with it."""
    from ase import Atoms

    if other := [number for number in species.tolist() if not 1 <= number <= HEAVIEST]:
        return CryinGANError(f"{where}: no element has the atomic number {other[0]}")
    impossible = CryinGANError(f"{where}: no cell has the lengths and angles {parameters}")
    lengths, angles = parameters[:3], parameters[3:]
    if not all(0 < one < math.inf for one in lengths) or not all(0 < one < 180 for one in angles):
        return impossible
    try:
        return Atoms(species.numpy(), scaled_positions=fractional.numpy(), cell=parameters, pbc=True)
    except Exception:  # ASE raises whatever angles that close no cell lead it to
        return impossible
