"""The settings of `python -m data.silicon.build`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.relaxation.settings import RelaxSettings
from data.silicon.quench import Quench
from data.silicon.slices import Slices

SILICON = Path(__file__).parent
NAME = "silicon"


@dataclass
class SiliconBuildSettings:
    """Settings of a data set of amorphous silicon.

    Attributes:
        n: number of structures in the set.
        atoms: in a structure.
        density: g/cm^3, between 1 and 4; of slices it is that of the large structure.
        rate: of cooling, K/s; slower gives fewer defects and takes longer.
        slice: file with a large structure that is cut into pieces, in place of melts of their own.
        seed: of all structures.
        potential: potential that relaxes the networks, and later samples, as arguments of
            `cryingan.potentials.potential.load_potential`.
        relax: how to relax, as fields of `cryingan.relaxation.settings.RelaxSettings`; forces end below those to which
            samples are relaxed, so that coordinates can be rounded in the file.
        processes: that work; one for every processor when null.
        folder: folder that the set is written to.
        work: folder of what has been made so far; `work` in the folder of the set by default.
    """

    n: int = 1500
    atoms: int = Quench.atoms
    density: float = Quench.density
    rate: float = Quench.rate
    slice: str | None = None
    seed: int = 0
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "tersoff"})
    relax: dict[str, Any] = field(default_factory=lambda: {"fmax": 0.02})
    processes: int | None = None
    folder: str = str(SILICON)
    work: str | None = None

    def __post_init__(self) -> None:
        for key, least in (("n", 2), ("atoms", 8), ("seed", 0)):
            if getattr(self, key) < least:
                raise CryinGANError(f"{key}={getattr(self, key)} must be at least {least}")
        if not 0 < self.rate < math.inf:
            raise CryinGANError(f"rate={self.rate} must be a number greater than 0")
        if not 1 <= self.density <= 4:
            raise CryinGANError(f"density={self.density} must be between 1 and 4 g/cm^3; amorphous silicon has 2.3")
        if (least := Quench.least_rate()) > self.rate:
            raise CryinGANError(f"rate={self.rate:g} must be at least {least:.3g} K/s: LAMMPS counts no more steps")
        if self.processes is not None and self.processes < 1:
            raise CryinGANError(f"processes={self.processes} must be at least 1")
        if taken := {"frames", "processes"} & set(self.relax):
            raise CryinGANError(f"relax.{min(taken)}: the build has no such key; processes=... is one of its own")

    @property
    def source(self) -> Quench | Slices:
        """What makes the networks.

        Raises:
            CryinGANError: as `data.silicon.slices.Slices.of_file`.
        """
        if self.slice is not None:
            return Slices.of_file(self.slice, self.atoms, self.seed)
        return Quench(self.atoms, self.density, self.rate, self.seed)

    @property
    def how(self) -> RelaxSettings:
        """How networks relax, and where."""
        return RelaxSettings.from_mapping({**self.relax, "processes": self.processes})

    @property
    def output(self) -> Path:
        """The folder of the set."""
        return Path(self.folder)

    @property
    def work_folder(self) -> Path:
        """The folder of what has been made so far."""
        return Path(self.work) if self.work else self.output / "work"
