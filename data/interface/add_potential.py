"""Add another potential to a set: `python -m data.interface.add_potential system=li2o_licl potential.path=FOLDER`.

Relaxes random structures of the build again from the same starts, with the other potential. The cut-off that keeps the
same share of them as the build keeps of all is written to the card of the set, and the energies to a file beside it.
A potential in the folder `potential` of the set becomes the default that relaxes samples. A killed run resumes when it
is started again.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.data_card import card_path
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import RelaxationResults, relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.card import add_cutoff
from data.interface.dataset import ENERGIES, LEAST, highest_kept
from data.interface.potential_training.comparison import relaxations
from data.interface.potential_training.settings import OWN, or_own
from data.interface.settings import INTERFACE_SETS
from data.interface.systems import read_system, system_path


@dataclass
class AddPotentialSettings:
    """Settings of `python -m data.interface.add_potential`.

    Attributes:
        system: name or YAML file of an interface that has been built.
        potential: the other potential, as arguments of `cryingan.potentials.potential.load_potential`; without a path,
            the one that was trained for the set.
        n: largest number of structures.
        relax: where to relax, as fields of `cryingan.relaxation.settings.RelaxSettings`; the build decides how.
        folder: folder of the set; data/interface/SYSTEM by default.
        relaxations: folder of its relaxations; `work` in the folder of the set by default.
    """

    system: str
    potential: dict[str, Any] = field(default_factory=lambda: {"kind": "m3gnet", "path": None, "device": "auto"})
    n: int = 200
    relax: dict[str, Any] = field(default_factory=lambda: {"backend": "loky", "processes": None})
    folder: str | None = None
    relaxations: str | None = None

    def __post_init__(self) -> None:
        if self.n < LEAST:
            raise CryinGANError(f"n={self.n} must be at least {LEAST}")

    @property
    def stem(self) -> str:
        """Name of the system."""
        return Path(self.system).stem

    @property
    def output(self) -> Path:
        """The folder of the set."""
        return Path(self.folder) if self.folder else INTERFACE_SETS / self.stem

    @property
    def build_folder(self) -> Path:
        """The folder of the relaxations."""
        return Path(self.relaxations) if self.relaxations else self.output / "work"


def add(settings: AddPotentialSettings) -> Path:
    """Relax random structures with a potential, and write their energies and its cut-off.

    Returns:
        The card of the set.

    Raises:
        CryinGANError: the set has not been built, the potential cannot be loaded, is that of the build, or relaxes
            nothing.
    """
    card = card_path(settings.output / f"{settings.stem}.extxyz.gz")
    share = read_system(system_path(settings.system)).kept
    if not card.exists():
        raise CryinGANError(f"{card} is not there: build the set first")
    given = or_own(settings.potential, settings.output)
    potential = load_potential(**given)
    built = relaxations(settings.system, settings.build_folder, None, settings.n)
    if potential.card.hash == built.potential["hash"]:
        raise CryinGANError(f"{potential.card.name} is the potential of the build, whose cut-off the card has")
    work = make_folder(settings.build_folder / f"again_{potential.card.hash[:12]}_{built.key}")
    protocol = {key: value for key, value in built.settings.items() if key != "frames"}
    with lock_folder(work):
        how = RelaxSettings.from_mapping({**settings.relax, **protocol})
        ended = relax(built.starts, potential, how, output=work, numbers=built.numbers, source=built.source)
    energies = np.where(ended.converged, ended.energy_final / len(built.starts.species), np.nan)
    if np.isfinite(energies).sum() < LEAST:
        raise CryinGANError(f"{np.isfinite(energies).sum()} of {len(energies)} structures converged, too few")
    name = f"{Path(ENERGIES).stem}_{potential.card.name}.csv"
    write_energies(ended, energies, settings.output / name)
    cutoff = {"potential": potential.card.name, "hash": potential.card.hash}
    own = Path(given.get("path") or "").resolve() == (settings.output / OWN).resolve()
    cutoff |= {"energy_per_atom": highest_kept(energies, share), "random": name}
    add_cutoff(card, cutoff, default=OWN if own else None)
    return card


def write_energies(ended: RelaxationResults, energies: np.ndarray, path: Path) -> None:
    """Write a row per structure: number in the build, relaxed energy if any, and how the relaxation ended.

    Args:
        ended: the relaxations.
        energies: eV/atom, shape (structures,); NaN where there is none.
        path: the CSV file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "energy_per_atom", "steps", "fmax", "reason"])
    for number, energy, steps, fmax, reason in zip(
        ended.samples, energies, ended.steps, ended.fmax, ended.reason, strict=True
    ):
        shown = [f"{value:.10g}" if np.isfinite(value) else "" for value in (energy, fmax)]
        writer.writerow([number, shown[0], steps, shown[1], reason])
    with replace_file(path) as file:
        file.write(text.getvalue().encode())


if __name__ == "__main__":
    run_command(add, AddPotentialSettings)
