"""Interatomic potentials: load and verify one, evaluate structures in batches."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.potentials.card import PotentialCard
from cryingan.potentials.settings import M3GNET_FILES, POTENTIALS, PotentialSettings

log = logging.getLogger(__name__)

CLASSES = {  # imported when asked for: matgl alone takes seconds
    "m3gnet": ("cryingan.potentials.m3gnet.potential", "M3GNetPotential"),
    "chgnet": ("cryingan.potentials.chgnet", "CHGNetPotential"),
    "ase": ("cryingan.potentials.ase_calculator", "AsePotential"),
    "gap": ("cryingan.potentials.gap", "GapPotential"),
    "pair": ("cryingan.potentials.pair", "PairPotential"),
    "tersoff": ("cryingan.potentials.tersoff", "TersoffPotential"),
}
MEMORY_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory")
ATOMS_ON_CPU = 1024  # M3GNet takes about 1 MB an atom; a full machine kills the process instead of raising
ATOMS_ON_GPU = 32768


class Potential:
    """Base class of all potentials: energies and forces of many periodic structures at once.

    A subclass defines `_evaluate_batch`. A pickled potential is its `spec`: a copy in another process loads itself with
    `load_potential(**potential.spec)`.

    Args:
        card: name, hash, elements and reference energies.
        device: torch device where it computes.
        atoms_per_batch: largest number of atoms evaluated at once, halved whenever the memory does not suffice; by
            default 1024 on a CPU and 32768 on a GPU.

    Attributes:
        spec: the plain arguments of `load_potential` that load it again; None if `load_potential` did not make it, so
            that it cannot be copied to another process.

    Example:
        >>> potential = cryingan.load_potential("pair")
        >>> crystals = cryingan.Crystals([[[0, 0, 0], [0.4, 0, 0]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "Cl"])
        >>> energies, forces = potential.evaluate(crystals.to_ase())
        >>> energies.shape, forces[0].shape
        ((1,), (2, 3))
    """

    def __init__(self, card: PotentialCard, device: str = "cpu", atoms_per_batch: int | None = None) -> None:
        self.card = card
        self.device = device
        self.atoms_per_batch = atoms_per_batch or (ATOMS_ON_CPU if device == "cpu" else ATOMS_ON_GPU)
        self.spec: dict[str, Any] | None = None

    def __reduce__(self) -> tuple:
        if self.spec is None:
            raise TypeError(f"{self.card.name} was not made by load_potential: a copy could not be loaded")
        return partial(load_potential, **self.spec), ()

    def evaluate(self, frames: Sequence[Atoms]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return energies and forces of structures of any size, in batches of at most `atoms_per_batch` atoms.

        A structure with a coordinate that is not finite gets NaN and does not affect the others.

        Args:
            frames: structures, periodic in all directions.

        Returns:
            Total energies in eV, float64, shape (structures,), and per structure the forces in eV/Angstrom, float64,
            shape (atoms, 3).

        Raises:
            CryinGANError: an element is unknown to the potential, a structure is not periodic, or the memory does not
                suffice for one structure.
        """
        self._refuse_unsuitable(frames)
        energies = np.full(len(frames), np.nan)
        forces = [np.full((len(frame), 3), np.nan) for frame in frames]
        waiting = [index for index, frame in enumerate(frames) if np.isfinite(frame.positions).all()]
        while waiting:
            totals = np.cumsum([len(frames[index]) for index in waiting])
            batch = waiting[: max(1, int(np.searchsorted(totals, self.atoms_per_batch, side="right")))]
            try:
                results = self._evaluate_batch([frames[index] for index in batch])
            except (MemoryError, RuntimeError) as error:
                self._halve_batch(error, len(batch), int(totals[len(batch) - 1]))
                continue
            for index, energy, force in zip(batch, *results, strict=True):
                energies[index], forces[index] = energy, force
            waiting = waiting[len(batch) :]
        return energies, forces

    def verify(self) -> None:
        """Compare the energies of the references with those of the card.

        Raises:
            CryinGANError: an energy differs by more than its tolerance; the message states both.
        """
        if not self.card.references:
            log.warning("%s: not verified, because it has no `references`", self.card.name)
        energies, _ = self.evaluate([reference.atoms for reference in self.card.references])
        if not self.reproduces_references(energies):
            raise CryinGANError(f"{self.card.name}: {self._comparison(energies)}: wrong weights or a wrong card")

    def reproduces_references(self, energies: np.ndarray) -> bool:
        """Return whether all `energies` (references,) in eV are within the tolerance of their reference."""
        pairs = zip(self.card.references, energies, strict=True)
        return all(abs(energy - reference.energy) <= reference.tolerance for reference, energy in pairs)

    def _evaluate_batch(self, frames: list[Atoms]) -> tuple[Sequence[float], Sequence[np.ndarray]]:
        """Return energies (eV) and forces (eV/Angstrom) of one batch; every subclass defines this.

        Structures are finite, periodic, and of known elements.
        """
        raise NotImplementedError

    def _comparison(self, energies: np.ndarray) -> str:
        return ", ".join(
            f"{reference.atoms.get_chemical_formula()} {energy:.6f} eV (card: {reference.energy:.6f})"
            for reference, energy in zip(self.card.references, energies, strict=True)
        )

    def _refuse_unsuitable(self, frames: Sequence[Atoms]) -> None:
        known = set(self.card.elements)
        for number, frame in enumerate(frames):
            unknown = sorted(set(frame.get_chemical_symbols()) - known) if known else []
            if unknown:
                raise CryinGANError(f"structure {number}: {self.card.name} does not know {', '.join(unknown)}")
            if not frame.pbc.all():
                raise CryinGANError(f"structure {number}: not periodic in all directions, as potentials need it")

    def _halve_batch(self, error: Exception, structures: int, atoms: int) -> None:
        """Halve `atoms_per_batch` if the memory did not suffice for a batch; raise any other error."""
        text = str(error).lower()
        if not isinstance(error, MemoryError) and not any(message in text for message in MEMORY_MESSAGES):
            raise error
        if structures == 1:
            raise CryinGANError(
                f"{self.card.name}: not enough memory on {self.device} for one structure of {atoms} atoms"
            ) from error
        self.atoms_per_batch = atoms // 2
        log.warning("%s: out of memory, continuing with %d atoms per batch", self.card.name, self.atoms_per_batch)


def load_potential(kind: str | Path, path: str | Path | None = None, device: str = "cpu", **options: Any) -> Potential:
    """Load a potential and verify it against the references of its card.

    Args:
        kind: `m3gnet` (matgl), `chgnet`, `ase` (any ASE calculator), `gap`, `pair` or `tersoff`; or, without a `path`,
            the folder of an M3GNet. A name is a kind before it is a folder.
        path: for `m3gnet` a local folder or the name of a published model; for `chgnet` a version of its package or a
            checkpoint file; for `gap` an XML file; the other kinds have none and ignore it.
        device: torch device, or `auto` for the GPU where there is one. The default is the CPU, so that copies in
            several processes do not share a GPU.
        **options: other settings of the kind, see `cryingan.potentials.settings`. Every kind takes `atoms_per_batch`
            and `references`, a list of mappings with `symbols`, `fractional`, `cell` (Angstrom), `energy` (eV) and
            `tolerance` (eV).

    Returns:
        The potential, verified.

    Raises:
        CryinGANError: the kind or an option is unknown, files are missing, a model that needs references has none, or a
            reference is not reproduced.

    Example:
        >>> from ase.build import bulk
        >>> potential = load_potential("pair", depth=0.3)
        >>> energies, forces = potential.evaluate([bulk("Cu"), bulk("Cu", cubic=True)])
        >>> energies.shape, forces[1].shape
        ((2,), (4, 3))
    """
    if kind not in POTENTIALS:
        if path is not None or not Path(kind).is_dir():
            raise CryinGANError(f"unknown kind of potential {str(kind)!r}: use {', '.join(POTENTIALS)}, or a folder")
        if not all((Path(kind) / name).is_file() for name in M3GNET_FILES):
            raise CryinGANError(f"the folder {kind} holds no potential: m3gnet has {' and '.join(M3GNET_FILES)}")
        kind, path = "m3gnet", kind
    settings = _settings(str(kind), path, device, options)
    module, name = CLASSES[settings.kind]
    try:
        potential = getattr(importlib.import_module(module), name)(settings)
    except TypeError as error:
        raise CryinGANError(f"potential {kind}: {error}") from error
    potential.spec = asdict(settings)
    potential.verify()
    return potential


def _settings(kind: str, path: str | Path | None, device: str, options: dict[str, Any]) -> PotentialSettings:
    """Return the settings of a kind, without a path or device where it has none."""
    known = [field.name for field in fields(POTENTIALS[kind]) if field.name != "kind"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise CryinGANError(f"potential {kind} has no {', '.join(unknown)}; it takes {', '.join(known)}")
    if path is not None:  # absolute, since a worker may stand in another folder
        path = str(Path(path).resolve() if Path(path).exists() else path)
    given = {"path": path, "device": device}
    useful = {name: value for name, value in given.items() if name in known and value is not None}
    return POTENTIALS[kind](**useful, **options)
