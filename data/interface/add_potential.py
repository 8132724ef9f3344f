"""Add another potential to a set: `python -m data.interface.add_potential system=li2o_licl potential.path=FOLDER`.

Relaxes random structures of the build again from the same starts, with the other potential. The cut-off that keeps the
same share of them as the build keeps of all is written to the card of the set, and the energies to a file beside it.
A potential in the folder `potential` of the set becomes the default that relaxes samples. A killed run resumes when it
is started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.data_card import card_path
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.card import add_cutoff, cutoff_entry
from data.interface.dataset import LEAST, energies_name, highest_kept, write_other_energies
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
    name = energies_name(potential.card.name)
    rows = zip(ended.samples, energies, ended.steps, ended.fmax, ended.reason, strict=True)
    write_other_energies(rows, settings.output / name)
    own = Path(given.get("path") or "").resolve() == (settings.output / OWN).resolve()
    cutoff = cutoff_entry(potential.card.name, potential.card.hash, highest_kept(energies, share), energies, name)
    add_cutoff(card, cutoff, default=OWN if own else None)
    return card


if __name__ == "__main__":
    run_command(add, AddPotentialSettings)
