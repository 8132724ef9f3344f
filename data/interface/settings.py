"""The settings of `python -m data.interface.build`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError

INTERFACE_SETS = Path(__file__).parent


@dataclass
class BuildSettings:
    """Settings of an interface data set.

    Attributes:
        system: name of a system that comes with the project, or a YAML file.
        n: number of structures to relax; parts that an earlier call began are finished even if they hold more.
        seed: seed of the random regions.
        potential: potential that relaxes, as arguments of `cryingan.potentials.potential.load_potential`.
        first: a quicker potential, such as one trained for the system, in the same form; structures that were not
            begun yet relax with it first, and then with `potential`.
        screen: structures that `first` relaxes to a higher energy (eV/atom) do not go on to `potential`; they count as
            above the cut-off. Choose it above the share that the system keeps (docs/interfaces.md).
        relax: how to relax, as fields of `cryingan.relaxation.settings.RelaxSettings`.
        frames: frames of each relaxation that are kept with their forces, to train a potential on.
        collect: write the set from what has been relaxed so far, even while a build is running; relax nothing.
        folder: folder that the set is written to; data/interface/SYSTEM by default.
        work: folder of the relaxations; `work` in the folder of the set by default.
    """

    system: str
    n: int = 400
    seed: int = 0
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    first: dict[str, Any] = field(default_factory=dict)
    screen: float | None = None
    relax: dict[str, Any] = field(default_factory=lambda: {"backend": "loky", "processes": None, "max_steps": 500})
    frames: int = 12
    collect: bool = False
    folder: str | None = None
    work: str | None = None

    def __post_init__(self) -> None:
        for key, least in (("seed", 0), ("n", 1), ("frames", 0)):
            if getattr(self, key) < least:
                raise CryinGANError(f"{key}={getattr(self, key)} must be at least {least}")
        if self.screen is not None and not (self.first and np.isfinite(self.screen)):
            raise CryinGANError(f"screen={self.screen} must be an energy by `first`, which is then needed, eV/atom")
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
    def structures(self) -> Path:
        """The file of the set."""
        return self.output / f"{Path(self.system).stem}.extxyz.gz"

    @property
    def work_folder(self) -> Path:
        """The folder of the relaxations."""
        return Path(self.work) if self.work else self.output / "work"
