"""How structures are relaxed, and where: plain values, the schema of the config group `relax`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.relaxation.fixed import canonical_rule

OPTIMIZERS = ("fire", "cg")
BACKENDS = ("loky", "dask", "serial")
REPAIR_DISTANCE = 1.5  # Angstrom; atoms closer than this are moved apart before relaxation
WHERE = ("backend", "processes", "address", "time_budget", "progress")  # fields that do not change a relaxed structure


@dataclass
class FireSettings:
    """Parameters of FIRE, with the names and defaults of ASE.

    Attributes:
        dt: first time step.
        maxstep: longest step, norm over all atoms together, Angstrom.
        dtmax: largest time step.
        nmin: steps downhill before the time step grows.
        finc: factor by which the time step grows.
        fdec: factor by which it shrinks after a step uphill.
        astart: mixing of velocity and force after a step uphill.
        fa: factor by which the mixing shrinks while going downhill.
        a: first mixing.
    """

    dt: float = 0.1
    maxstep: float = 0.2
    dtmax: float = 1.0
    nmin: int = 5
    finc: float = 1.1
    fdec: float = 0.5
    astart: float = 0.1
    fa: float = 0.99
    a: float = 0.1


@dataclass
class RelaxSettings:
    """How structures are relaxed at fixed cell, and where.

    Attributes:
        optimizer: `fire`, or `cg` for the protocol of the Dismai-Bench paper.
        fmax: a structure has converged when the largest force on a free atom is below this, eV/Angstrom. With `cg`,
            one that ends otherwise may exceed it by 0.001, as in the paper.
        max_steps: largest number of steps of the optimizer.
        min_distance: structures that start with atoms closer than this, Angstrom, are not relaxed, and those that end
            so have failed (`too_close`).
        max_force: largest force on a free atom, eV/Angstrom; above it the structure counts as exploded.
        max_energy: largest magnitude of the energy, eV/atom; above it the structure counts as exploded.
        max_displacement: largest distance of an atom from its start, Angstrom; above it the structure counts as
            exploded.
        fixed: atoms that keep their places, besides those that the structures fix, as a rule of
            `cryingan.relaxation.fixed.with_fixed`: `below:Z`, a list of atoms from 0, or a list of species.
        fire: parameters of FIRE; a mapping holds those that differ from the defaults.
        frames: how many frames of each relaxation are kept with their forces.
        backend: `loky` for the processors of this machine, `dask` for a cluster, `serial` for this process.
            A potential on a GPU always works in this process.
        processes: number of processes for `loky`; None for one per processor. Clusters use what they have.
        address: of the Dask scheduler; None if this process is connected to it already.
        time_budget: seconds for a call; structures unfinished by then end with reason `time`. None for no limit.
        progress: report on stderr how many have ended and how long the rest will take.

    Raises:
        CryinGANError: a value is of the wrong type or out of range.
    """

    optimizer: str = "fire"
    fmax: float = 0.05
    max_steps: int = 1000
    min_distance: float = 0.5
    max_force: float = 1e4
    max_energy: float = 1e3
    max_displacement: float = 10.0
    fixed: Any = None
    fire: FireSettings = field(default_factory=FireSettings)
    frames: int = 0
    backend: str = "loky"
    processes: int | None = None
    address: str | None = None
    time_budget: float | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.fire, Mapping):
            self.fire = _made(FireSettings, self.fire)
        self.fixed = canonical_rule(self.fixed)
        if self.optimizer not in OPTIMIZERS:
            raise CryinGANError(f"unknown optimizer {self.optimizer!r}: use {' or '.join(OPTIMIZERS)}")
        if self.backend not in BACKENDS:
            raise CryinGANError(f"unknown backend {self.backend!r}: use {', '.join(BACKENDS)}")
        numbers = {int: (int, "whole number"), float: (int | float, "number")}
        for setting in fields(self):
            value, (allowed, wanted) = getattr(self, setting.name), numbers.get(type(setting.default), (object, ""))
            if wanted and (isinstance(value, bool) or not isinstance(value, allowed)):
                raise CryinGANError(f"relax: {setting.name}={value!r} must be a {wanted}")
        if not self.fmax > 0 or self.max_steps < 0:
            raise CryinGANError(f"fmax={self.fmax}, max_steps={self.max_steps}: they must be positive")
        if self.time_budget is not None and not self.time_budget > 0:
            raise CryinGANError(f"time_budget={self.time_budget}: it must be positive, in seconds")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> RelaxSettings:
        """The settings that a config or a file holds.

        Raises:
            CryinGANError: a key is unknown, or a value is wrong.
        """
        return _made(cls, values)

    @property
    def protocol(self) -> dict[str, Any]:
        """The settings that decide how relaxations end, in plain values."""
        return {name: value for name, value in asdict(self).items() if name not in WHERE}


def _made(cls: type, values: Mapping[str, Any]) -> Any:
    try:
        return cls(**values)
    except TypeError as error:
        raise CryinGANError(f"relax: {str(error).split('.__init__() ')[-1]}") from error
