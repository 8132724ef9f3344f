"""Label a potential's own frames: `python -m data.interface.extend_frames system=NAME reference.path=FOLDER`.

A potential that was trained on the relaxations of another one sometimes leaves their path, and may let atoms collide
where it has seen no frames. Here it relaxes structures of the build itself. Frames of these relaxations are labelled
with the potential of the build, and join the training data. With `structures=FILE` it relaxes the structures of a file
instead, such as a generator's samples, whose defects it will meet later. A killed run resumes when it is started again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential, load_potential
from cryingan.progress import reported
from cryingan.relaxation.fixed import with_fixed
from cryingan.relaxation.journal import RELAX_MANIFEST
from cryingan.relaxation.relax import relax
from cryingan.relaxation.repair import repair
from cryingan.relaxation.settings import REPAIR_DISTANCE, RelaxSettings
from cryingan.relaxation.trajectory import TRAJECTORIES, TrajectoryFrames, read_trajectories, write_frames
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.storage.hashes import file_hash
from cryingan.storage.locks import lock_folder
from cryingan.structures.checks import COMPARABLE_CELL
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures
from data.command import run_command
from data.interface.dataset import LEAST
from data.interface.potential_training.comparison import Relaxations, relaxations
from data.interface.potential_training.frames import OTHERS
from data.interface.potential_training.settings import or_own
from data.interface.settings import INTERFACE_SETS

LIMIT = "labelling.json"


@dataclass
class ExtendSettings:
    """Settings of `python -m data.interface.extend_frames`.

    Attributes:
        system: name or YAML file of an interface that has been built or is being built.
        reference: potential of the build, as arguments of `cryingan.potentials.potential.load_potential`.
        relaxations: folder of its relaxations; `work` in the folder of the set by default.
        potential: potential that relaxes, in the same form; without a path, the one that was trained for the set.
        structures: file of structures of the same atoms and cell, relaxed in place of those of the build; atoms that
            are too close are moved apart first, as in samples.
        n: largest number of structures; those of the test set stay in the test set.
        each: frames that are labelled of each relaxation.
        max_force: frames with a larger force on an atom are left out, eV/Angstrom.
        relax: how to relax, as fields of `cryingan.relaxation.settings.RelaxSettings`; as in the build by default.
    """

    system: str
    reference: dict[str, Any]
    relaxations: str | None = None
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    structures: str | None = None
    n: int = 100
    each: int = 12
    max_force: float = 30.0
    relax: dict[str, Any] = field(default_factory=lambda: {"backend": "loky", "processes": None})

    def __post_init__(self) -> None:
        if self.n < LEAST or self.each < 1 or not self.max_force > 0:
            raise CryinGANError(f"n must be at least {LEAST}, each at least 1, and max_force above 0")

    @property
    def build_folder(self) -> Path:
        """Folder of the relaxations of the system."""
        return Path(self.relaxations) if self.relaxations else INTERFACE_SETS / Path(self.system).stem / "work"


def extend(settings: ExtendSettings) -> Path:
    """Relax structures with a potential, and label frames of the relaxations with the potential of the build.

    Returns:
        The folder of the labelled frames.

    Raises:
        CryinGANError: a potential cannot be loaded, or the build has no relaxed structures.
    """
    potential = load_potential(**or_own(settings.potential, settings.build_folder.parent))
    reference = load_potential(**{"kind": "m3gnet", "device": potential.device, **settings.reference})
    built = relaxations(settings.system, settings.build_folder, None, settings.n)
    if reference.card.hash != built.potential["hash"]:
        raise CryinGANError(f"reference is {reference.card.name}, not what the structures were relaxed with")
    name = f"{potential.card.hash[:12]}_{built.key}"
    if settings.structures is not None:
        fixed = {**built.settings, **settings.relax}.get("fixed")
        built = _of_file(settings.structures, built, settings.n, fixed)
        name = f"{potential.card.hash[:12]}_{file_hash(settings.structures)[:12]}_{built.key}"
    work = make_folder(settings.build_folder / f"unlabelled_{name}")
    with lock_folder(work):
        folder = make_folder(settings.build_folder / f"labelled_{name}")
        _require_same_limit(folder, settings.max_force)
        how = RelaxSettings.from_mapping({**built.settings, **settings.relax, "frames": settings.each})
        relax(built.starts, potential, how, output=work, numbers=built.numbers, source=built.source)
        _label(work, folder, built, reference, settings.max_force)
    return folder


def _of_file(path: str, built: Relaxations, n: int, fixed: Any) -> Relaxations:
    """Structures of a file in place of those of a build, with numbers that no build has."""
    given = read_structures(path, closest=0)
    if given.species != built.starts.species or not np.allclose(given.cell, built.starts.cell, atol=COMPARABLE_CELL):
        raise CryinGANError(f"{path} has other atoms, another order or another cell than the structures of the build")
    apart, log = repair(with_fixed(given[:n], fixed), REPAIR_DISTANCE)
    accepted = np.flatnonzero(log.accepted)
    first = OTHERS * (1 + int(file_hash(path)[:6], 16))  # another range of numbers for each file
    numbers = [first + number for number in accepted.tolist()]
    return replace(built, starts=apart[accepted], numbers=numbers, source=file_hash(path))


def _require_same_limit(folder: Path, max_force: float) -> None:
    path = folder / LIMIT
    if not path.exists():
        with replace_file(path) as file:
            file.write(json.dumps({"max_force": max_force}).encode())
    if (found := json.loads(path.read_bytes())["max_force"]) != max_force:
        raise CryinGANError(f"{folder} was labelled with max_force={found:g}: remove it to label anew")


def _label(work: Path, folder: Path, built: Relaxations, reference: Potential, max_force: float) -> None:
    every = list(read_trajectories(work))
    waiting = [one for one in every if not (folder / TRAJECTORIES / f"{one[0]:06d}.npz").exists()]
    labelled = _labelled(waiting, built.starts, reference)
    before, left_out = len(every) - len(waiting), 0
    for sample, frames in reported(labelled, len(every), "labelling", "labelled", before):
        tame = np.linalg.norm(frames.forces, axis=2).max(axis=1) <= max_force
        left_out += int((~tame).sum())
        write_frames(folder, sample, TrajectoryFrames(*(values[tame] for values in frames)))
    with replace_file(folder / RELAX_MANIFEST) as file:  # makes the folder part of the training data
        file.write(json.dumps({"potential": dict(built.potential)}).encode())
    print(f"{left_out} frames with forces above {max_force:g} eV/Angstrom are left out", file=sys.stderr, flush=True)


def _labelled(
    waiting: list[tuple[int, TrajectoryFrames]], starts: Crystals, reference: Potential
) -> Iterator[tuple[int, TrajectoryFrames]]:
    for sample, frames in waiting:
        atoms = [starts[:1].to_ase()[0] for _ in frames.positions]
        for one, positions in zip(atoms, frames.positions, strict=True):
            one.positions = positions
        energies, forces = reference.evaluate(atoms)
        yield sample, TrajectoryFrames(frames.steps, energies, frames.positions, np.array(forces, dtype=np.float32))


if __name__ == "__main__":
    run_command(extend, ExtendSettings)
