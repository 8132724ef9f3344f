"""Read structures leniently: a broken one is kept with its reason, and the rest is read."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.checks import CheckedFrame, checked, matched
from cryingan.structures.constraints import stacked
from cryingan.structures.crystals import Crystals
from cryingan.structures.formats import iterate_frames
from cryingan.structures.frames import RawFrame
from cryingan.structures.sources import name_the_others, names, structure_files

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One structure of a file, a folder or a list, which may be broken.

    Attributes:
        number: its position, from 1.
        name: its file within a folder; empty otherwise.
        atoms: the structure, periodic in all directions; None if it is broken.
        reason: what is wrong with it; empty otherwise.
        info: further keys of the file, such as `sample` and `converged`.
    """

    number: int
    name: str
    atoms: Atoms | None
    reason: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def composition(self) -> dict[str, int]:
        """Atoms per species, sorted by symbol; empty for a broken structure."""
        symbols = self.atoms.get_chemical_symbols() if self.atoms is not None else ()
        return dict(sorted(Counter(symbols).items()))

    @property
    def sample(self) -> int | None:
        """Sample number, from 0; None where the file gives none, or a value that cannot be one."""
        sample = self.info.get("sample")
        whole = isinstance(sample, Integral) and not isinstance(sample, bool)
        return int(sample) if whole and sample >= 0 else None


def read_candidates(source: str | Path | Sequence[Atoms], types: Sequence[str] = ()) -> Iterator[Candidate]:
    """Read every structure of a file in any format that ASE reads, of several such files, or of a list.

    Close and coincident atoms are accepted. A structure that the project's own files mark as unrelaxed counts as
    broken.

    Args:
        source: a file, or what `cryingan.structures.sources.structure_files` takes, or structures.
        types: elements of the types 1, 2, ... of files that give none, such as dumps of LAMMPS.

    Yields:
        The structures in order.

    Raises:
        CryinGANError: there is nothing to read, or the file cannot be cut into frames.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        files = structure_files(path)
        name_the_others(path)
        if path.is_file():
            found = (("", frame) for frame in iterate_frames(path, types))
        else:
            named = zip(names(path, files), files, strict=True)
            found = ((name, frame) for name, file in named for frame in _frames_of_one_of_many(file, types))
    else:
        found = (("", RawFrame(atoms, "", None, atoms.info)) for atoms in source)
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked
        for number, (name, frame) in enumerate(found, 1):
            yield _candidate(number, name, frame)


def _frames_of_one_of_many(path: Path, types: Sequence[str]) -> Iterator[RawFrame]:
    """Read every frame of a file; what is wrong with all of the file is one more outcome."""
    empty = True
    try:
        for frame in iterate_frames(path, types):
            empty = False
            yield frame
        if empty:
            raise CryinGANError("holds no structure")
    except CryinGANError as error:
        yield RawFrame(error, str(path), None, {})


def _candidate(number: int, name: str, frame: RawFrame) -> Candidate:
    from ase import Atoms

    info = frame.info
    try:
        sound = checked(frame, closest=0)
    except CryinGANError as error:
        return Candidate(number, name, None, str(error).removeprefix(frame.where).lstrip(",: "), info)
    if info.get("converged") in (False, "False", "F"):
        return Candidate(number, name, None, f"not relaxed: {info.get('reason', 'unconverged')}", info)
    clean = Atoms(sound.numbers, scaled_positions=sound.fractional, cell=sound.cell, pbc=True)
    return Candidate(number, name, clean, info=info)


def salvage_structures(path: str | Path, types: Sequence[str] = ()) -> Crystals:
    """Read the structures of one file or several; a broken one keeps its place and has coordinates that are NaN.

    Broken is a frame that cannot be read, has no sound cell, or has positions that are not finite. Atoms may be close.
    Each broken frame is named in a warning.

    Args:
        path: a file in any format that ASE reads, or a folder or pattern of such files.
        types: elements of the types 1, 2, ... of files that give none, such as dumps of LAMMPS.

    Returns:
        The structures, in the atom order of the first sound one, with the atoms that the file fixes.

    Raises:
        CryinGANError: the file cannot be read at all, nothing in it is sound, compositions or cells differ, or a frame
            has constraints that cannot be kept.
    """
    files = structure_files(path)
    name_the_others(path)
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked
        read = iterate_frames if len(files) == 1 else _frames_of_one_of_many
        found = [read(file, types) for file in files]
        frames = [_sound(frame) for frame in chain.from_iterable(found)]
    first = next((frame for frame in frames if frame is not None), None)
    if first is None:
        raise CryinGANError(f"{path} holds no structure that can be read")
    nowhere = first._replace(fractional=np.full_like(first.fractional, np.nan), fixed=None)
    frames = [nowhere if frame is None else matched(frame, first) for frame in frames]
    if not_kept := next((frame.not_kept for frame in frames if frame.not_kept), ""):
        raise CryinGANError(not_kept)
    fractional, fixed = zip(*((frame.fractional, frame.fixed) for frame in frames), strict=True)
    return Crystals(np.stack(fractional), first.cell, first.symbols, stacked(fixed, len(first.numbers)))


def _sound(frame: RawFrame) -> CheckedFrame | None:
    """A frame, its positions finite or not; None, and a warning, where it is broken."""
    try:
        sound = checked(frame, closest=0, not_finite=True)
    except CryinGANError as error:
        log.warning("%s; it counts as failed", error)
        return None
    if not np.isfinite(sound.fractional).all():
        log.warning("%s has positions that are not finite; it counts as failed", frame.where)
    return sound
