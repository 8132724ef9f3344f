"""Settings of `python -m data.interface.train_potential`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from data.interface.settings import INTERFACE_SETS

OWN = "potential"  # folder of the potential that was trained for a set, in that of the set
PLACES = ("relaxations", "folder", "work", "minutes", "device")  # where and when: these do not change the result


@dataclass
class TrainPotentialSettings:
    """Settings of the training of an M3GNet.

    Attributes:
        system: interface whose frames are the training data, by name or YAML file; it may still be building.
        relaxations: folder of its relaxations; `work` in the folder of the set by default.
        labelled: file with energies, forces and perhaps stresses, in extended XYZ or another format that ASE reads, in
            place of a system.
        structure_key: key of its comment lines whose value names the structure of a frame; without it every frame is a
            structure of its own.
        energy_key: name of the total energies (eV) in the file, such as REF_energy; usual names are found.
        forces_key: name of the forces (eV/Angstrom), likewise.
        stress_key: name of the stresses (eV/Angstrom^3, positive when the cell is stretched), likewise; with `virial`
            in the name, of virials (eV).
        folder: folder that the potential is written to; `potential` beside the folder of the relaxations by default.
        work: folder of the state of the training; `training` in `relaxations`, or FOLDER.training, by default.
        name: name of the potential; M3GNet-SYSTEM by default.
        start: folder of an M3GNet that is trained further; `model` is ignored then.
        seed: seed of the sets, of the first weights and of the order of the frames.
        validation: share of the structures that choose the epoch and the learning rate.
        test: share of the structures that are used for the card alone.
        model: size of the M3GNet, see `data.interface.potential_training.model.Size`.
        weights: weights of energies (eV/atom), forces (eV/Angstrom) and stresses (GPa) in the loss; that of stresses
            counts only where there are labels, and with 0 they are not read.
        learning_rate: highest learning rate.
        batch_size: structures per step.
        epochs: passes over the training frames.
        trials: pairs of learning rate and batch size that are tried first; the best pair is then used.
        trial_epochs: epochs of each trial; as many as `epochs` by default.
        minutes: time limit; training stops after the epoch that exceeds it, and the same command resumes.
        device: torch device, or `auto`.
    """

    system: str | None = None
    relaxations: str | None = None
    labelled: str | None = None
    structure_key: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    stress_key: str | None = None
    folder: str | None = None
    work: str | None = None
    name: str | None = None
    start: str | None = None
    seed: int = 0
    validation: float = 0.1
    test: float = 0.1
    model: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=lambda: {"energy": 1.0, "force": 1.0, "stress": 0.1})
    learning_rate: float = 5e-3
    batch_size: int = 4
    epochs: int = 30
    trials: list[Any] = field(default_factory=list)
    trial_epochs: int | None = None
    minutes: float | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.system is None) == (self.labelled is None):
            raise CryinGANError("give either system=NAME or labelled=FILE.extxyz")
        if self.labelled is not None and self.folder is None:
            raise CryinGANError("labelled=... needs folder=FOLDER, where the potential is written")
        if set(self.weights) != {"energy", "force", "stress"} or min(self.weights.values()) < 0:
            given = ", ".join(f"{name} {value:g}" for name, value in self.weights.items())
            raise CryinGANError(
                f"weights: {given}; energy, force and stress, and no other, need a weight, of at least 0"
            )
        for learning_rate, batch_size in self.tried:
            if learning_rate <= 0 or batch_size < 1:
                raise CryinGANError("learning_rate must be above 0 and batch_size at least 1, in trials, too")
        if min(self.epochs, self.trial_epochs or 1) < 1:
            raise CryinGANError("epochs and trial_epochs must be at least 1")

    @property
    def label_keys(self) -> dict[str, str | None]:
        """Names of the labels in a file, as they were given."""
        return {"energy": self.energy_key, "forces": self.forces_key, "stress": self.stress_key}

    @property
    def tried(self) -> list[tuple[float, int]]:
        """Learning rate and batch size of every trial, or those of the training where there are no trials."""
        try:
            return [(float(rate), int(size)) for rate, size in self.trials or [(self.learning_rate, self.batch_size)]]
        except (TypeError, ValueError) as error:
            raise CryinGANError(f"trials={self.trials}: pairs such as [[0.005,4],[0.002,4]]") from error

    @property
    def stem(self) -> str:
        """Name of the system or of the file."""
        return Path(self.system or self.labelled or "").stem

    @property
    def build_folder(self) -> Path:
        """Folder of the relaxations of a system."""
        return Path(self.relaxations) if self.relaxations else INTERFACE_SETS / self.stem / "work"

    @property
    def output(self) -> Path:
        """Folder of the potential."""
        return Path(self.folder) if self.folder else self.build_folder.parent / OWN

    @property
    def work_folder(self) -> Path:
        """Folder of the training's state."""
        if self.work:
            return Path(self.work)
        return self.build_folder / "training" if self.system else self.output.with_name(f"{self.output.name}.training")

    @property
    def command(self) -> str:
        """The command that makes the same potential."""
        without = set(PLACES) - ({"folder"} if self.labelled else set())  # a file has no folder of its own
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in without}
        words = [word for name, value in given.items() for word in _words(name, value, getattr(DEFAULTS, name))]
        return shlex.join(["python", "-m", "data.interface.train_potential", *words])


def or_own(potential: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Arguments of `cryingan.potentials.potential.load_potential`; an M3GNet without a path is the one of a set.

    Args:
        potential: arguments as they were given.
        folder: of the set.
    """
    given = {"kind": "m3gnet", **potential}
    own = {"path": str(folder / OWN)} if given["kind"] == "m3gnet" and not given.get("path") else {}
    return {**given, **own}


def _words(name: str, value: Any, default: Any) -> list[str]:
    """KEY=VALUE where the value is not the default."""
    if isinstance(value, Mapping):
        return [word for key, one in value.items() for word in _words(f"{name}.{key}", one, default.get(key))]
    if value is None or value == default:
        return []
    return [f"{name}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"]


DEFAULTS = TrainPotentialSettings(system="")
