"""Build an interface data set: `python -m data.interface.build system=li2o_licl n=400 potential.path=FOLDER`.

`system` is one that comes with the project (data/interface/systems/) or a YAML file of your own: docs/interfaces.md.
Each structure has a random region that depends on the seed and the number of the structure alone. All relax at fixed
cell. A killed build resumes when it is started again; with a larger n it adds structures.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryingan.potentials.potential import load_potential
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder
from cryingan.storage.locks import lock_folder
from data.command import run_command
from data.interface.assembly import Interface, assemble
from data.interface.bulk import make_crystal, prepared_crystals
from data.interface.card import add_cutoff, cutoff_entry, read_card, write_card
from data.interface.collection import collect
from data.interface.dataset import (
    ENERGIES,
    RelaxedSet,
    energies_name,
    energies_of,
    highest_kept,
    write_energies,
    write_other_energies,
    write_structures_kept,
)
from data.interface.facts import facts
from data.interface.figures import draw
from data.interface.parts import relax_structures, require_same_build
from data.interface.placement import SLABS, with_slabs_of, write_slabs
from data.interface.readme import write_readme
from data.interface.settings import BuildSettings
from data.interface.systems import read_system, system_path
from data.replacement import require_no_larger_set


def build(settings: BuildSettings) -> Path:
    """Build a set; resumes where an earlier call stopped.

    Returns:
        The folder of the set.

    Raises:
        CryinGANError: the system, the potential or the settings cannot be used, `work` holds another build, or the
            folder a larger set.
    """
    system = read_system(system_path(settings.system))
    card = read_card(settings.card)  # a card that cannot be replaced must be found before hours of relaxing
    if not settings.work_folder.exists():  # relaxations that are there are kept, whatever n is
        require_no_larger_set(settings.structures, settings.n, (card.get("made") or {}).get("tried"))
    potential = load_potential(**settings.potential)
    first = load_potential(**{"kind": "m3gnet", **settings.first}) if settings.first else None
    for one in filter(None, (potential, first)):  # likewise an element that a potential does not know
        one.evaluate([make_crystal(slab.crystal, system.folder) for slab in (system.substrate, system.film)])
    work = make_folder(settings.work_folder)
    with nullcontext() if settings.collect else lock_folder(work):
        interface = with_slabs_of(work, assemble(system, *prepared_crystals(system, potential, work)))
        print(_summary(interface), file=sys.stderr, flush=True)
        if settings.collect:
            require_same_build(work, settings.seed, interface, potential)
        else:
            relax_structures(interface, potential, first, settings, work)
        write_set(collect(interface, work), settings)
    return settings.output


def write_set(relaxed: RelaxedSet, settings: BuildSettings) -> None:
    """Write the structures, their card, all energies and the figures."""
    folder, stem = make_folder(settings.output), Path(settings.system).stem
    made = facts(relaxed, settings.seed)
    write_structures_kept(relaxed, settings.structures)
    write_energies(relaxed, folder / ENERGIES)
    write_slabs(relaxed.interface, folder / SLABS)
    write_card(relaxed, settings.card, made)
    if relaxed.screen is not None:
        _add_first(relaxed, settings)
    write_readme(relaxed, made, stem, _command(relaxed, settings), folder / "README.md")
    draw(relaxed, folder)


def _add_first(relaxed: RelaxedSet, settings: BuildSettings) -> None:
    """Add the energies of a potential that screened all structures, its cut-off, and itself as the default of the set.

    The energies with the potential of the build end at the screen.
    """
    for (name, sha), results in relaxed.first.items():
        if len(results) < len(relaxed.results):
            continue  # some were begun without it
        energies, file = energies_of(results, relaxed.n_atoms), energies_name(name)
        ends = zip(results, energies, strict=True)
        rows = ((one.sample, energy, one.steps, one.fmax, one.reason) for one, energy in ends)
        write_other_energies(rows, settings.output / file)
        cutoff = cutoff_entry(name, sha, highest_kept(energies, relaxed.interface.system.kept), energies, file)
        add_cutoff(settings.card, cutoff, default=_beside(settings.first, settings.output))


def _beside(potential: Mapping[str, Any], folder: Path) -> str | None:
    """The folder of an M3GNet as a card in another folder names it; None for potentials of other kinds."""
    path = potential.get("path")
    return os.path.relpath(path, folder) if path and potential.get("kind", "m3gnet") == "m3gnet" else None


def _command(relaxed: RelaxedSet, settings: BuildSettings) -> str:
    kind = settings.potential.get("kind", "m3gnet")
    words = [f"system={Path(settings.system).name}", f"n={len(relaxed.results)}"]
    words += [f"potential.kind={kind}"] if kind != "m3gnet" else ["potential.path=FOLDER"]
    words += ["first.path=FOLDER"] if relaxed.first else []
    words += [] if relaxed.screen is None else [f"screen={relaxed.screen}"]
    words += [f"seed={settings.seed}"] if settings.seed else []
    usual = {**asdict(RelaxSettings()), **BuildSettings("").relax}
    words += [f"relax.{key}={value}" for key, value in relaxed.how.items() if value != usual[key]]
    return shlex.join(["python", "-m", "data.interface.build", *words])


def _summary(interface: Interface) -> str:
    match, atoms = interface.match, f"{len(interface.order)} atoms, {len(interface.random)} of them random"
    cell = f"determinants {match.determinants[0]} and {match.determinants[1]}, area {match.area:.1f} Angstrom^2"
    return f"{interface.system.name}: {atoms}, {cell}, mismatch {match.mismatch:.2%}"


if __name__ == "__main__":
    run_command(build, BuildSettings)
