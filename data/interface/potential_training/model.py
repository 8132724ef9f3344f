"""The M3GNet that is trained: a new one, or an existing one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matgl.models import M3GNet

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.m3gnet.potential import M3GNetPotential
from cryingan.potentials.potential import load_potential
from data.interface.potential_training.frames import LabelledFrames


@dataclass(frozen=True)
class Size:
    """Size of a new M3GNet.

    Attributes:
        units: width of all layers.
        blocks: rounds of messages between atoms.
        cutoff: length of the longest edge, Angstrom.
        threebody_cutoff: longest bond of an angle, Angstrom.
        max_n: radial functions per angular function.
        max_l: angular functions.
        smooth: use radial functions that are smooth at the cut-off.
    """

    units: int = 32
    blocks: int = 2
    cutoff: float = 4.5
    threebody_cutoff: float = 3.0
    max_n: int = 3
    max_l: int = 3
    smooth: bool = False

    def __post_init__(self) -> None:
        if min(self.units, self.blocks, self.max_n, self.max_l) < 1 or not 0 < self.threebody_cutoff <= self.cutoff:
            raise CryinGANError("model: sizes must be at least 1, and threebody_cutoff above 0 and at most cutoff")


@dataclass(frozen=True, eq=False)
class Student:
    """A model whose energy is scale x (sum over the atoms) + offsets of the elements + shift.

    Attributes:
        model: extensive M3GNet.
        scale: eV.
        shift: eV per structure.
        offsets: eV, in the order of the model's elements.
        convention: atom of an edge at which messages are summed, `source` or `destination`.
        start: card of the potential that is trained further, if any.
    """

    model: M3GNet
    scale: float
    shift: float
    offsets: np.ndarray
    convention: str = "source"
    start: PotentialCard | None = None

    @property
    def types(self) -> dict[str, int]:
        """Index of every chemical symbol."""
        return {symbol: number for number, symbol in enumerate(self.model.element_types)}


def new_student(frames: LabelledFrames, size: Size, seed: int) -> Student:
    """An untrained M3GNet for the elements of some frames.

    Its scale is the root mean square of the forces, and its offsets are the energies per element that fit best.
    """
    elements = frames.elements
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = M3GNet(
            element_types=elements,
            dim_node_embedding=size.units,
            dim_edge_embedding=size.units,
            units=size.units,
            nblocks=size.blocks,
            cutoff=size.cutoff,
            threebody_cutoff=size.threebody_cutoff,
            max_n=size.max_n,
            max_l=size.max_l,
            use_smooth=size.smooth,
            is_intensive=False,
        )
    scale = float(np.sqrt(np.mean(np.concatenate(frames.forces) ** 2)))
    offsets = energies_of_elements(frames, frames.energies, elements)
    return Student(model, scale or 1.0, 0.0, offsets)


def started_student(path: str | Path, frames: LabelledFrames) -> Student:
    """A trained M3GNet whose offsets are shifted to the level of the labels, which may be of another method.

    Args:
        path: folder of the model, with its card.
        frames: frames of the training.

    Raises:
        CryinGANError: it cannot be loaded, or does not know an element.
    """
    potential = load_potential("m3gnet", str(path))
    assert isinstance(potential, M3GNetPotential)
    energies, _ = potential.evaluate(frames.atoms)
    elements = tuple(potential.model.element_types)
    offsets = potential.offsets + energies_of_elements(frames, frames.energies - energies, elements)
    return Student(potential.model, potential.scale, potential.shift, offsets, potential.convention, potential.card)


def energies_of_elements(frames: LabelledFrames, energies: np.ndarray, elements: tuple[str, ...]) -> np.ndarray:
    """Least-squares energies per element (eV) for the energies of structures; zero for absent elements.

    Elements that the compositions cannot separate get the same energy.

    Args:
        frames: structures.
        energies: energy of each, eV, shape (frames,).
        elements: chemical symbols.
    """
    counts = np.array([[atoms.get_chemical_symbols().count(symbol) for symbol in elements] for atoms in frames.atoms])
    totals = counts.sum(axis=1)
    mean = totals @ energies / (totals @ totals)
    rest = np.linalg.lstsq(counts.astype(float), energies - mean * totals, rcond=None)[0]
    return np.where(counts.any(axis=0), mean + rest, 0.0)


def write_model(student: Student, state: dict[str, Any], folder: Path) -> None:
    """Write a model with the given weights in matgl's format.

    Args:
        student: the model.
        state: weights of matgl's `Potential` around it.
        folder: an existing folder.
    """
    from matgl.apps.pes import Potential

    wrapped = Potential(student.model, data_mean=student.shift, data_std=student.scale, element_refs=student.offsets)
    wrapped.load_state_dict(state)
    wrapped.save(str(folder))
