"""The settings of `python -m data.interface.build`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError

INTERFACE_SETS = Path(__file__).parent


@dataclass
class BuildSettings:
    """What is to be built, and how.

    Attributes:
        system: name of a system that comes with the project, or a YAML file.
        n: structures to relax, at least; what was begun is finished.
        seed: of the random regions.
        potential: arguments of `cryingan.potentials.potential.load_potential`.
        first: those of a quicker potential, such as one that was trained for the system; structures not yet begun relax
            with it before they relax with `potential`.
        relax: fields of `cryingan.relaxation.settings.RelaxSettings`.
        frames: how many frames of each relaxation are kept with their forces, for training a potential.
        collect: write the set from what has been relaxed so far, maybe by a build that still runs; relax nothing.
        folder: where the set is written; without it data/interface/SYSTEM.
        work: where relaxations are kept; without it `work` in the folder.
    """

    system: str
    n: int = 400
    seed: int = 0
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    first: dict[str, Any] = field(default_factory=dict)
    relax: dict[str, Any] = field(default_factory=lambda: {"backend": "loky", "processes": None, "max_steps": 500})
    frames: int = 12
    collect: bool = False
    folder: str | None = None
    work: str | None = None

    def __post_init__(self) -> None:
        for key, least in (("seed", 0), ("n", 1), ("frames", 0)):
            if getattr(self, key) < least:
                raise CryinGANError(f"{key}={getattr(self, key)} must be at least {least}")
        if taken := {"frames", "output", "numbers"} & set(self.relax):
            raise CryinGANError(f"relax.{min(taken)} is decided by the build; the keys for it are frames, work and n")

    @property
    def output(self) -> Path:
        """The folder of the set."""
        return Path(self.folder) if self.folder else INTERFACE_SETS / Path(self.system).stem

    @property
    def card(self) -> Path:
        """The card of the set."""
        return self.output / f"{Path(self.system).stem}.card.yaml"

    @property
    def work_folder(self) -> Path:
        """The folder of the relaxations."""
        return Path(self.work) if self.work else self.output / "work"
