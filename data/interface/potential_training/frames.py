"""Structures with known energies and forces: frames of relaxations, or those of a user's file."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryingan.errors import CryinGANError
from cryingan.randomness import generator
from cryingan.relaxation.journal import RELAX_MANIFEST
from cryingan.relaxation.trajectory import TrajectoryFrames, read_trajectories
from cryingan.structures.checks import CLOSEST, checked
from cryingan.structures.files import frames_of_all, reported_if_slow
from cryingan.structures.frames import RawFrame
from cryingan.structures.sources import source_hash
from data.interface.parts import any_structure, part_folders
from data.interface.potential_training.labels import LabelReader, check_all, held, is_reference_atom

if TYPE_CHECKING:
    from ase import Atoms

SETS = ("training", "validation", "test")
OTHERS = 1_000_000  # structures from this number on are not of a build
RELAXATIONS, PATHS, SAMPLES = "relaxations", "other paths", "samples"


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Structures with energies and forces.

    Attributes:
        atoms: periodic structures of any size.
        energies: total, eV, shape (frames,).
        forces: eV/Angstrom, an array of shape (atoms, 3) for each.
        stresses: eV/Angstrom^3, positive when the cell is stretched, shape (frames, 3, 3); None without any.
        structures: name of each frame's structure, shape (frames,); all frames of a structure are in one set.
        source: origin of the labels: name and hash of a potential, or file and SHA-256.
        origins: kind of each frame, shape (frames,): relaxations of the build, the same structures relaxed with
            another potential, or samples of a generator; None where all are of one kind.
    """

    atoms: Sequence[Atoms]
    energies: np.ndarray
    forces: Sequence[np.ndarray]
    stresses: np.ndarray | None
    structures: np.ndarray
    source: Mapping[str, str]
    origins: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.atoms)

    def __getitem__(self, indices: np.ndarray) -> LabelledFrames:
        stresses = None if self.stresses is None else self.stresses[indices]
        atoms, forces = ([values[i] for i in indices] for values in (self.atoms, self.forces))
        origins = None if self.origins is None else self.origins[indices]
        return LabelledFrames(
            atoms, self.energies[indices], forces, stresses, self.structures[indices], self.source, origins
        )

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols, by atomic number."""
        from ase.data import chemical_symbols

        return tuple(chemical_symbols[number] for number in sorted({int(z) for a in self.atoms for z in a.numbers}))

    def of(self, names: Sequence[str]) -> LabelledFrames:
        """The frames of some structures."""
        return self[np.flatnonzero(np.isin(self.structures, names))]

    def by_origin(self) -> dict[str, LabelledFrames]:
        """The frames of each origin; empty where there is only one."""
        found = [] if self.origins is None else [one for one in (RELAXATIONS, PATHS, SAMPLES) if one in self.origins]
        return {one: self[np.flatnonzero(self.origins == one)] for one in found} if len(found) > 1 else {}


def frames_of_relaxations(work: Path, extended: Sequence[str] | None = None) -> LabelledFrames:
    """The frames that a build of an interface has kept so far, and those of `data.interface.extend_frames`.

    The build may still be running.

    Args:
        work: folder of the build's relaxations.
        extended: names of the folders of `extensions` to include; all by default.

    Raises:
        CryinGANError: there are none, they cannot be read, or they are from different potentials.
    """
    if not work.is_dir():
        raise CryinGANError(f"{work} is not there: build the interface first, or give relaxations=FOLDER")
    parts = part_folders(work)
    pattern = next((atoms for part in parts if (atoms := any_structure(part)) is not None), None)
    wanted = extensions(work) if extended is None else [work / name for name in extended]
    if missing := [folder for folder in wanted if not folder.is_dir()]:
        raise CryinGANError(f"{missing[0]}, with which the training began, is no longer there")
    found = [
        (folder, frames) for folder in [*parts, *wanted] if pattern and (frames := list(read_trajectories(folder)))
    ]
    if not found:
        raise CryinGANError(f"{work} holds no frames of relaxations: build the interface first, with frames above 0")
    potentials = [json.loads((folder / RELAX_MANIFEST).read_bytes())["potential"] for folder, _ in found]
    if any(potential != potentials[0] for potential in potentials):
        raise CryinGANError(f"{work} holds relaxations with different potentials, whose energies cannot be mixed")
    labelled = [
        (str(sample), RELAXATIONS if folder in parts else SAMPLES if sample >= OTHERS else PATHS, one)
        for folder, frames in found
        for sample, one in frames
    ]
    return _joined(labelled, pattern, potentials[0])


def extensions(work: Path) -> list[Path]:
    """Folders of frames of other potentials' relaxations, labelled with the potential of the build."""
    return sorted(folder for folder in work.glob("labelled_*") if (folder / RELAX_MANIFEST).exists())


def _joined(
    labelled: Sequence[tuple[str, str, TrajectoryFrames]], pattern: Atoms, potential: Mapping[str, str]
) -> LabelledFrames:
    atoms = []
    for _, _, frames in labelled:
        for positions in frames.positions:
            atom = pattern.copy()
            atom.calc, atom.info = None, {}
            atom.positions = positions
            atoms.append(atom)
    counts = [len(frames.energies) for _, _, frames in labelled]
    names, origins = (np.repeat([one[column] for one in labelled], counts) for column in (0, 1))
    energies = np.concatenate([frames.energies for _, _, frames in labelled])
    forces = [force for _, _, frames in labelled for force in frames.forces.astype(np.float64)]
    return LabelledFrames(atoms, energies, forces, None, names, dict(potential), origins)


def frames_of_file(
    path: str | Path,
    structure_key: str | None = None,
    *,
    label_keys: Mapping[str, str | None] | None = None,
    stresses: bool = True,
) -> LabelledFrames:
    """Frames with energies and forces, and perhaps stresses, of a file in any format that ASE reads, or of several.

    Frames are checked as training structures are, but may differ in cell and composition. Isolated atoms are skipped.
    Names of labels and what was skipped are printed on stderr.

    Args:
        path: the file, or a folder or pattern of files.
        structure_key: key of the comment lines whose value names the structure of a frame, such as its trajectory;
            without it every frame is a structure of its own.
        label_keys: names of `energy`, `forces` and `stress` in the file; those that are not given are found, see
            `data.interface.potential_training.labels`.
        stresses: whether stresses are read.

    Raises:
        CryinGANError: the file cannot be read, or a frame or its labels cannot be used; the message names the frame,
            from 1.
    """
    path = Path(path)
    reader, isolated, read = LabelReader(label_keys or {}, stresses), 0, []
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked
        for number, frame in enumerate(reported_if_slow(frames_of_all(path), path), 1):
            if is_reference_atom(frame):
                isolated += 1
            else:
                checked(frame, CLOSEST)
                labels = reader.read(frame, frame.outcome)
                read.append((_bare(frame.outcome), *labels, _structure(frame, structure_key, number)))
    if not read:
        raise CryinGANError(f"{path} holds no structures" + (f", only {isolated} isolated atoms" if isolated else ""))
    print(f"{path}: {reader.line(isolated)}", file=sys.stderr, flush=True)
    atoms, energies, forces, stress, structures = zip(*read, strict=True)
    all_stresses = np.array(stress) if stress[0] is not None else None
    if warning := check_all(atoms, np.array(energies), all_stresses, str(path)):
        print(warning, file=sys.stderr, flush=True)
    source = {"file": path.name, "sha256": source_hash(path)}
    return LabelledFrames(atoms, np.array(energies), forces, all_stresses, np.array(structures), source)


def _bare(atoms: Atoms) -> Atoms:
    """Species, positions and cell alone."""
    from ase import Atoms

    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)


def _structure(frame: RawFrame, key: str | None, number: int) -> str:
    """Name of the structure of a frame."""
    if key is None:
        return str(number)
    there = held(frame, frame.outcome)
    if key not in there.values:
        raise CryinGANError(f"{frame.where} has no {key}=..., which structure_key asks for; it has {there}")
    return str(there.values[key])


def split(frames: LabelledFrames, validation: float, test: float, seed: int) -> dict[str, list[str]]:
    """Names of the structures of training, validation and test set, drawn at random.

    The set of a structure depends on the seed and its name, so structures that are added later move no other. Where
    there are so few structures that this leaves a set empty, the sets are drawn from all of them together.

    Args:
        frames: all frames.
        validation: share of the structures.
        test: share of the structures.
        seed: seed of the draw.

    Raises:
        CryinGANError: there are too few structures, or a share is out of range.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise CryinGANError(f"validation={validation}, test={test}: shares above 0 that leave some for training")
    names = np.unique(frames.structures).tolist()
    places = {name: torch.rand(1, generator=generator(seed, f"set of structure {name}")).item() for name in names}
    sets: dict[str, list[str]] = {name: [] for name in SETS}
    for name, place in places.items():
        sets["test" if place < test else "validation" if place < test + validation else "training"].append(name)
    if not all(sets.values()):  # too few structures
        counts = [max(1, round(share * len(names))) for share in (test, validation)]
        if len(names) <= sum(counts):
            raise CryinGANError(f"{len(names)} structures are too few for a training, a validation and a test set")
        drawn = np.split(np.array(sorted(names, key=places.get)), np.cumsum(counts))
        sets = {name: sorted(one.tolist()) for name, one in zip(reversed(SETS), drawn, strict=True)}
    return sets
