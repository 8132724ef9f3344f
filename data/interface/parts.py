"""The structures of an interface, relaxed in parts; each part is a folder that survives a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.potentials.potential import Potential
from cryingan.relaxation.fixed import heights, with_fixed
from cryingan.relaxation.journal import RELAX_MANIFEST, RELAXED, read_journal, same_identity, structures_identity
from cryingan.relaxation.one_structure import Relaxed
from cryingan.relaxation.relax import relax_marked
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import make_folder, write_json
from cryingan.storage.hashes import settings_hash
from cryingan.structures.crystals import Crystals
from data.interface.bulk import kept_crystals
from data.interface.placement import SLABS, with_slabs_of, write_slabs
from data.interface.screening import claim_screen, goes_on

if TYPE_CHECKING:
    from ase import Atoms

    from data.interface.assembly import Interface
    from data.interface.settings import BuildSettings
    from data.interface.systems import System

BUILD_MANIFEST = "build.json"
PART = r"structures_\d+_\d+"
FIRST = "first_"  # prefix of the folder in which a quicker potential relaxed a part first


def relax_structures(
    interface: Interface, potential: Potential, first: Potential | None, settings: BuildSettings, work: Path
) -> None:
    """Relax structures 0 to n - 1; unfinished parts of earlier calls are resumed.

    Args:
        interface: interface of the structures.
        potential: potential of the build.
        first: quicker potential that relaxes them first, but for structures that an earlier call began without it.
        settings: n, seed, frames and how to relax.
        work: folder of the parts; a part holds the structures that one call added.

    Raises:
        CryinGANError: `work` holds another build, or structures that another potential relaxed first.
    """
    claim(work, settings.seed, interface)
    require_same_build(work, settings.seed, interface, potential)
    for numbers in parts(work, settings.n):
        how = RelaxSettings.from_mapping({**settings.relax, "frames": settings.frames})
        crystals, source = starts(interface, settings.seed, numbers, how.fixed), build_hash(settings.seed, interface)
        folder = work / f"structures_{numbers.start:06d}_{numbers.stop - 1:06d}"
        before = folder.with_name(FIRST + folder.name)
        if before.exists() or (first is not None and not folder.exists()):
            crystals, numbers = _relaxed_first(crystals, first, numbers, settings, before, source)
            source += f", relaxed with {first.card.hash}"
        if len(numbers):
            relax_marked(crystals, potential, how, output=folder, numbers=numbers, source=source)
        else:
            make_folder(folder)  # the part is whole: nothing of it goes on


def starts(interface: Interface, seed: int, numbers: Sequence[int], fixed: Any = None) -> Crystals:
    """Structures as they are placed, with atoms of the slabs fixed.

    Args:
        interface: interface of the structures.
        seed: seed of the random regions.
        numbers: which structures.
        fixed: rule of `cryingan.relaxation.fixed.with_fixed`.

    Raises:
        CryinGANError: it fixes atoms of the disordered region, or the region has no room for its atoms.
    """
    crystals = with_fixed(interface.structures(seed, numbers), fixed)
    in_region = interface.order >= len(interface.slabs)
    if crystals.fixed is not None and crystals.fixed[:, in_region].any():
        low = heights(interface.structures(seed, numbers))[:, in_region].min()
        raise CryinGANError(
            f"relax.fixed={fixed} fixes atoms of the disordered region, which have to relax: name atoms of the slabs, "
            f"such as those below {low:.2f} Angstrom"
        )
    return crystals


def _relaxed_first(
    crystals: Crystals, first: Potential | None, numbers: range, settings: BuildSettings, folder: Path, source: str
) -> tuple[Crystals, list[int]]:
    """Structures relaxed with another potential that go on, and their numbers.

    Those that it cannot relax go on as they were placed.
    """
    if first is None:
        raise CryinGANError(f"{folder} holds structures that {_potential(folder)['name']} relaxed first: give it again")
    claim_screen(folder, settings.screen)
    how = RelaxSettings.from_mapping(settings.relax)
    ended = relax_marked(crystals, first, how, output=folder, numbers=numbers, source=source)
    if left := int((ended.reason == "time").sum()):
        raise CryinGANError(f"{left} structures ran out of time with the first potential: the same command resumes")
    fractional = np.where(ended.failed[:, None, None], crystals.fractional, ended.crystals.fractional)
    low = goes_on(ended.energy_final / len(crystals.species), ended.converged, settings.screen)
    return replace(crystals, fractional=fractional)[np.flatnonzero(low)], ended.samples[low].tolist()


def first_folder(folder: Path) -> Path | None:
    """Folder in which a quicker potential relaxed the structures of a part first; None if none did."""
    before = folder.with_name(FIRST + folder.name)
    return before if before.exists() else None


def relaxed_first(folder: Path, atoms: int) -> tuple[tuple[str, str], list[Relaxed]] | None:
    """What a quicker potential made of the structures of a part before; None if there was none.

    Args:
        folder: folder of the part.
        atoms: number of atoms of a structure.

    Returns:
        Name and hash of the potential, and its results.
    """
    before = first_folder(folder)
    if before is None:
        return None
    used = _potential(before)
    return (used["name"], used["hash"]), read_journal(before, atoms)


def _potential(folder: Path) -> Mapping[str, Any]:
    return json.loads((folder / RELAX_MANIFEST).read_bytes())["potential"]


def parts(work: Path, n: int) -> list[range]:
    """Structure numbers of every part in a folder, and of the parts that are missing for n structures."""
    found = sorted({_numbers(folder) for folder in _folders(work)}, key=lambda part: part.start)
    ends = [0, *(part.stop for part in found)]
    starts = [*(part.start for part in found), n]
    missing = [range(end, start) for end, start in zip(ends, starts, strict=True) if end < start]
    return sorted([*found, *missing], key=lambda part: part.start)


def part_folders(work: Path) -> list[Path]:
    """Folders of all parts, by structure number."""
    return sorted(folder for folder in _folders(work) if re.fullmatch(PART, folder.name))


def begun_parts(work: Path) -> list[Path]:
    """Folders of the parts whose relaxations with the potential of the build have begun."""
    return [folder for folder in part_folders(work) if (folder / RELAX_MANIFEST).exists()]


def any_structure(folder: Path) -> Atoms | None:
    """A structure with the cell and species of a part; None if no relaxation has ended yet."""
    from ase.io.extxyz import read_xyz

    path = folder / RELAXED
    if not path.exists() or not path.stat().st_size:
        return None
    with path.open() as file:
        return next(read_xyz(file, 0))


def _folders(work: Path) -> list[Path]:
    """Folders of parts, and of their first relaxations, which a kill may have left alone."""
    return [item for item in work.iterdir() if re.fullmatch(f"({FIRST})?{PART}", item.name)]


def _numbers(folder: Path) -> range:
    first, last = folder.name.split("_")[-2:]
    return range(int(first), int(last) + 1)


def claim(work: Path, seed: int, interface: Interface) -> None:
    """Write what the folder belongs to, unless a build is there already."""
    path = work / BUILD_MANIFEST
    if not path.exists() or not _folders(work):
        write_slabs(interface, work / SLABS)
        write_json(path, _identity(seed, interface))


def require_same_build(work: Path, seed: int, interface: Interface, potential: Potential) -> None:
    """Refuse a folder whose structures are not those of the settings.

    Args:
        work: folder of relaxations.
        seed: seed of the random regions.
        interface: interface that the structures should be of.
        potential: potential that they should be relaxed with.

    Raises:
        CryinGANError: seed, system, region, potential, species or cell differs, or the folder holds no build.
    """
    _require_same_structures(work, seed, interface)
    for folder in begun_parts(work):
        if (used := _potential(folder))["hash"] != potential.card.hash:
            mine, theirs = potential.card, f"{used['name']} ({used['hash'][:12]})"
            raise CryinGANError(f"{folder} was relaxed with {theirs}, not with this {mine.name} ({mine.hash[:12]})")


def built_interface(system: System, work: Path) -> tuple[Interface, int]:
    """The interface of a folder of relaxations, and the seed of its random regions.

    Args:
        system: the system as its file is now.
        work: folder of relaxations.

    Raises:
        CryinGANError: nothing has been relaxed there, or the system has changed since.
    """
    from data.interface.assembly import assemble

    seed = _noted(work)["seed"]
    folders = begun_parts(work)
    if not folders:
        raise CryinGANError(f"{work} holds no build: nothing has been relaxed there")
    interface = with_slabs_of(work, assemble(system, *kept_crystals(system, _potential(folders[0])["hash"], work)))
    _require_same_structures(work, seed, interface)
    return interface, seed


def require_system(work: Path, system: System) -> None:
    """Refuse a folder of relaxations of another system; CryinGANError."""
    if (found := _noted(work)["system"]) != system.name:
        raise CryinGANError(f"{work} holds relaxations of {found}, not of {system.name}")


def _noted(work: Path) -> dict[str, Any]:
    path = work / BUILD_MANIFEST
    if not path.exists():
        raise CryinGANError(f"{work} holds no build: nothing has been relaxed there")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise CryinGANError(f"{path} is not whole: {error}") from error


def _require_same_structures(work: Path, seed: int, interface: Interface) -> None:
    found = _noted(work)
    wanted = {name: value for name, value in _identity(seed, interface).items() if name in found}
    if other := [name for name, value in wanted.items() if found[name] != value]:
        was, now = _what_differs(found[other[0]], wanted[other[0]])
        raise CryinGANError(
            f"{work} holds a build with {other[0]} {was}, here it is {now}: give an empty folder as work"
        )
    for folder in begun_parts(work):
        numbers = _numbers(folder)
        started = first_folder(folder) or folder
        wanted = structures_identity(interface.species, numbers, build_hash(seed, interface))
        if not same_identity(started, wanted, partial(interface.structures, seed, numbers)):
            raise CryinGANError(f"{started} holds other structures: the system or its crystals have changed since")


def _what_differs(first: Any, second: Any) -> tuple[Any, Any]:
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return first, second
    keys = [key for key in first.keys() | second.keys() if first.get(key) != second.get(key)]
    return {key: first.get(key) for key in keys}, {key: second.get(key) for key in keys}


def _identity(seed: int, interface: Interface) -> dict[str, Any]:
    return {
        "system": interface.system.name,
        "seed": seed,
        "species": "".join(interface.random),
        "region": asdict(interface.system.region),
    }


def build_hash(seed: int, interface: Interface) -> str:
    """SHA-256 of what decides the structures of a build, but for the last digits, which depend on the processor."""
    slabs = interface.slabs
    numbers = [(np.round(np.asarray(one), 5) + 0.0).tolist() for one in (slabs.cell, slabs.positions, interface.bounds)]
    return settings_hash({**_identity(seed, interface), "slabs": numbers})
