"""The relaxed structures of an interface: relaxed in parts, each a folder that survives a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.crystals import Crystals
from cryingan.errors import CryinGANError
from cryingan.journal import MANIFEST as RELAXATION
from cryingan.potentials import Potential
from cryingan.relax import relax
from cryingan.replace import replace_file

if TYPE_CHECKING:
    from data.interface.assembly import Interface
    from data.interface.build import Settings

MANIFEST = "build.json"
PART = re.compile(r"structures_(\d+)_(\d+)")
FIRST = "first_{}"  # where the structures of a part were relaxed with another potential before


def relax_structures(
    interface: Interface, potential: Potential, first: Potential | None, settings: Settings, work: Path
) -> None:
    """Relax structures 0 to n - 1, those of earlier calls first where they are unfinished.

    Args:
        interface: what they are structures of.
        potential: relaxes them.
        first: relaxes them before that; only structures that no earlier call has begun without it.
        settings: n, seed, frames and how to relax.
        work: the folder; each part in it holds the structures that one call has added.

    Raises:
        CryinGANError: `work` holds structures with another seed or of another interface, or structures that another
            potential relaxed first.
    """
    _claim(work, settings.seed, interface)
    for numbers in parts(work, settings.n):
        crystals = interface.structures(settings.seed, numbers)
        folder = work / f"structures_{numbers.start:06d}_{numbers.stop - 1:06d}"
        before = folder.with_name(FIRST.format(folder.name))
        if before.exists() or (first is not None and not folder.exists()):
            crystals = _relaxed_first(crystals, first, numbers, settings, before)
        relax(crystals, potential, output=folder, numbers=list(numbers), frames=settings.frames, **settings.relax)


def _relaxed_first(
    crystals: Crystals, first: Potential | None, numbers: range, settings: Settings, folder: Path
) -> Crystals:
    """Structures as another potential leaves them; those that it cannot relax as they were placed."""
    if first is None:
        raise CryinGANError(f"{folder} holds structures that {_potential(folder)['name']} relaxed first: give it again")
    ended = relax(crystals, first, output=folder, numbers=list(numbers), **settings.relax)
    fractional = np.where(ended.failed[:, None, None], crystals.fractional, ended.crystals.fractional)
    return Crystals(fractional, crystals.cell, crystals.species)


def relaxed_first(folder: Path) -> Mapping[str, Any] | None:
    """Name and hash of the potential that relaxed the structures of a part before that of the build, if any did."""
    before = folder.with_name(FIRST.format(folder.name))
    return _potential(before) if before.exists() else None


def _potential(folder: Path) -> Mapping[str, Any]:
    return json.loads((folder / RELAXATION).read_bytes())["potential"]


def parts(work: Path, n: int) -> list[range]:
    """The structure numbers of every part that a folder holds, and those that are missing for n structures."""
    found = [range(first, last + 1) for first, last in sorted((int(m[1]), int(m[2])) for m in _matching(work))]
    covered = found[-1].stop if found else 0
    return [*found, range(covered, n)] if n > covered else found


def part_folders(work: Path) -> list[Path]:
    """The folders of all parts, in the order of their numbers."""
    return sorted(work / match[0] for match in _matching(work))


def _matching(work: Path) -> list[re.Match]:
    return [match for item in work.iterdir() if (match := PART.fullmatch(item.name))]


def _claim(work: Path, seed: int, interface: Interface) -> None:
    content = {"system": interface.system.name, "seed": seed, "species": "".join(interface.random)}
    path = work / MANIFEST
    if not path.exists():
        with replace_file(path) as file:
            file.write(json.dumps(content, indent=1).encode())
    elif (found := json.loads(path.read_bytes())) != content:
        raise CryinGANError(f"{work} holds another build ({found}): give an empty folder as work")
