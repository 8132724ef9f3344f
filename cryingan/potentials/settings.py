"""Settings of each kind of potential: arguments of its class, and schema of the config group `potential`.

This module imports neither torch nor ASE nor matgl.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from cryingan.errors import CryinGANError

M3GNET_FILES = ("model.pt", "state.pt")


@dataclass
class M3GNetSettings:
    """Settings of `cryingan.potentials.m3gnet.potential.M3GNetPotential`.

    Attributes:
        path: local folder with `model.pt` and `state.pt`, or the name of a model on the Hugging Face hub (needs a
            network).
        device: torch device, or `auto` for the GPU where there is one.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading, see `cryingan.potentials.potential.load_potential`; if empty,
            those of the card in the folder.
    """

    kind: str = "m3gnet"
    path: str | None = None
    device: str = "auto"
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class CHGNetSettings:
    """Settings of `cryingan.potentials.chgnet.CHGNetPotential`.

    Attributes:
        path: version in the package (`0.3.0`, `0.2.0`, `r2scan`), or a checkpoint file.
        device: torch device, or `auto` for the GPU where there is one.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading, besides those of the package's versions.
    """

    kind: str = "chgnet"
    path: str | None = "0.3.0"
    device: str = "auto"
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class AseSettings:
    """Settings of `cryingan.potentials.ase_calculator.AsePotential`.

    Attributes:
        calculator: import path of the calculator's class, or of a function that makes one.
        package: what to install where it cannot be imported; its version is part of the hash. None: the package that
            the path is in.
        arguments: its keyword arguments, such as a model file or a device.
        elements: chemical symbols that it knows; if empty, the calculator itself has to refuse the others.
        device: where it computes, if neither `arguments` nor the calculator says so.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading.
    """

    kind: str = "ase"
    calculator: str = "ase.calculators.emt.EMT"
    package: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    elements: list[str] = field(default_factory=list)
    device: str = "cpu"
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class GapSettings:
    """Settings of `cryingan.potentials.gap.GapPotential`.

    Attributes:
        path: XML file of `gap_fit`; files of sparse points that it names lie beside it.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading; if empty, those of `NAME.card.json` beside NAME.xml, or of
            `card.json`.
    """

    kind: str = "gap"
    path: str | None = None
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PairSettings:
    """Settings of `cryingan.potentials.pair.PairPotential`.

    Attributes:
        depth: eV per bond.
        stiffness: 1/Angstrom.
        cutoff: Angstrom.
        radii: Angstrom per chemical symbol; None: every element is known and has a radius of 1.25 Angstrom.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading.
    """

    kind: str = "pair"
    depth: float = 0.5
    stiffness: float = 1.5
    cutoff: float = 5.0
    radii: dict[str, float] | None = None
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class TersoffSettings:
    """Settings of `cryingan.potentials.tersoff.TersoffPotential`, whose docstring has the formula.

    Attributes:
        name: of the potential, in tables and on cards; other parameters than the defaults need a name of their own.
        element: chemical symbol.
        A: of the repulsion, eV.
        B: of the attraction, eV.
        lambda1: of the repulsion, 1/Angstrom.
        lambda2: of the attraction, 1/Angstrom.
        lambda3: of lengths in the bond order, 1/Angstrom.
        beta: of the bond order.
        n: of the bond order.
        c: of the angles.
        d: of the angles.
        h: cosine of the best angle.
        R: middle of the cut-off, Angstrom.
        D: half of its width, Angstrom.
        atoms_per_batch: see `cryingan.potentials.potential.Potential`.
        references: energies to verify on loading.
    """

    kind: str = "tersoff"
    name: str = "Tersoff-T2"
    element: str = "Si"
    A: float = 3264.7
    B: float = 95.373
    lambda1: float = 3.2394
    lambda2: float = 1.3258
    lambda3: float = 1.3258
    beta: float = 0.33675
    n: float = 22.956
    c: float = 4.8381
    d: float = 2.0417
    h: float = 0.0
    R: float = 3.0
    D: float = 0.2
    atoms_per_batch: int | None = None
    references: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.parameters:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise CryinGANError(f"potential tersoff: {name}={value!r} must be a finite number")
        for right, wanted in (
            (self.R > self.D > 0, f"R={self.R} and D={self.D}: the cut-off needs R > D > 0"),
            (self.n > 0, f"n={self.n} must be positive"),
            (self.d != 0, "d=0 would divide by zero"),
            (self.beta >= 0, f"beta={self.beta} must not be negative"),
        ):
            if not right:
                raise CryinGANError(f"potential tersoff: {wanted}")
        usual = {each.name: each.default for each in fields(self)}
        if self.name == usual["name"]:
            changed = [name for name in ("element", *self.parameters) if getattr(self, name) != usual[name]]
            if changed:
                what = ", ".join(f"{name}={getattr(self, name)}" for name in changed)
                raise CryinGANError(f"potential tersoff: {what} is not {self.name}; give name=... of its own")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters of the formula."""
        return tuple(each.name for each in fields(self) if each.type == "float")


PotentialSettings = M3GNetSettings | CHGNetSettings | AseSettings | GapSettings | PairSettings | TersoffSettings
POTENTIALS = {
    each.kind: each
    for each in (M3GNetSettings, CHGNetSettings, AseSettings, GapSettings, PairSettings, TersoffSettings)
}
