"""Build an interface data set: `python -m data.interface.build system=li2o_licl n=400 potential.path=FOLDER`.

`system` is one that comes with the project (data/interface/systems/) or a YAML file of your own: docs/interfaces.md.
Structures with random regions are numbered, each a function of the seed and its number, and relaxed at fixed cell.
Killed and started again, a build goes on where it stood; started again with a larger n, it adds to what is there.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryingan import relaxation
from cryingan.errors import CryinGANError
from cryingan.potentials import load_potential
from cryingan.replace import lock_folder, make_folder
from data.command import run_command
from data.interface.assembly import Interface, assemble
from data.interface.cards import facts, write_readme
from data.interface.crystals import make_crystal, prepared_crystals
from data.interface.dataset import ENERGIES, RelaxedSet, collect, write_energies, write_structures_kept
from data.interface.figures import draw
from data.interface.relaxed import relax_structures, require_same_build
from data.interface.set_card import read_card, write_card
from data.interface.systems import read_system, system_path

FOLDER = Path(__file__).parent


@dataclass
class Settings:
    """What is to be built, and how.

    Attributes:
        system: name of a system that comes with the project, or a YAML file.
        n: structures to relax, at least; what was begun is finished.
        seed: of the random regions.
        potential: arguments of `cryingan.potentials.load_potential`.
        first: those of a quicker potential, such as one that was trained for the system; structures not yet begun relax
            with it before they relax with `potential`.
        relax: arguments of `cryingan.relax.relax`.
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
        return Path(self.folder) if self.folder else FOLDER / Path(self.system).stem

    @property
    def card(self) -> Path:
        """The card of the set."""
        return self.output / f"{Path(self.system).stem}.card.yaml"

    @property
    def work_folder(self) -> Path:
        """The folder of the relaxations."""
        return Path(self.work) if self.work else self.output / "work"


def build(settings: Settings) -> Path:
    """Build a set, going on where an earlier call stopped.

    Returns:
        The folder of the set.

    Raises:
        CryinGANError: the system, the potential or the settings cannot be used, or `work` holds another build.
    """
    system = read_system(system_path(settings.system))
    read_card(settings.card)  # one that cannot be replaced is better found now than at the end
    potential = load_potential(**settings.potential)
    first = load_potential(**{"kind": "m3gnet", **settings.first}) if settings.first else None
    for one in filter(None, (potential, first)):  # an element that one does not know is found now, too
        one.evaluate([make_crystal(slab.crystal, system.folder) for slab in (system.substrate, system.film)])
    work = make_folder(settings.work_folder)
    with lock_folder(work, wanted=not settings.collect):
        interface = assemble(system, *prepared_crystals(system, potential, work))
        print(_summary(interface), file=sys.stderr, flush=True)
        if settings.collect:
            require_same_build(work, settings.seed, interface, potential)
        else:
            relax_structures(interface, potential, first, settings, work)
        write_set(collect(interface, work), settings)
    return settings.output


def write_set(relaxed: RelaxedSet, settings: Settings) -> None:
    """Write the structures, their card, all energies and the figures."""
    folder, stem = make_folder(settings.output), Path(settings.system).stem
    made = facts(relaxed, settings.seed)
    write_structures_kept(relaxed, folder / f"{stem}.extxyz.gz")
    write_energies(relaxed, folder / ENERGIES)
    write_card(relaxed, settings.card, made)
    write_readme(relaxed, made, stem, _command(relaxed, settings), folder / "README.md")
    draw(relaxed, folder)


def _command(relaxed: RelaxedSet, settings: Settings) -> str:
    kind = settings.potential.get("kind", "m3gnet")
    words = [f"system={Path(settings.system).name}", f"n={len(relaxed.results)}"]
    words += [f"potential.kind={kind}"] if kind != "m3gnet" else ["potential.path=FOLDER"]
    words += ["first.path=FOLDER"] if relaxed.first else []
    words += [f"seed={settings.seed}"] if settings.seed else []
    usual = {**asdict(relaxation.Settings()), **Settings("").relax}
    words += [f"relax.{key}={value}" for key, value in relaxed.how.items() if value != usual[key]]
    return shlex.join(["python", "-m", "data.interface.build", *words])


def _summary(interface: Interface) -> str:
    match, atoms = interface.match, f"{len(interface.order)} atoms, {len(interface.random)} of them random"
    cell = f"determinants {match.determinants[0]} and {match.determinants[1]}, area {match.area:.1f} Angstrom^2"
    return f"{interface.system.name}: {atoms}, {cell}, mismatch {match.mismatch:.2%}"


if __name__ == "__main__":
    run_command(build, Settings)
