"""Read structures leniently: a broken one is kept with its reason, and the rest is read."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.hashes import file_hash
from cryingan.structures.checks import CheckedFrame, checked, matched
from cryingan.structures.constraints import stacked
from cryingan.structures.crystals import Crystals
from cryingan.structures.extxyz import RawFrame
from cryingan.structures.formats import iterate_frames, require_file

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

STRUCTURE_FILE = re.compile(r"[^.].*\.(cif|vasp|poscar|(ext)?xyz)(\.(gz|bz2|xz))?|(POSCAR|CONTCAR)[^/]*", re.IGNORECASE)


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


def source_hash(source: str | Path | Sequence[Atoms]) -> str:
    """SHA-256 of a source of structures: a file's content, a folder's file names and contents, or the atoms.

    Raises:
        CryinGANError: the file is missing, or the folder holds no structures.
    """
    if not isinstance(source, str | Path):
        digest = hashlib.sha256()
        for atoms in source:
            for array in (atoms.numbers.astype("int64"), atoms.cell.array, atoms.positions, atoms.pbc):
                digest.update(array.tobytes())
        return digest.hexdigest()
    path = Path(source)
    if path.is_dir():
        lines = [f"{file_hash(file)}  {file.name}\n" for file in structure_files(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    return file_hash(path)


def structure_files(path: Path) -> list[Path]:
    """The file itself, or the CIF, POSCAR and extended XYZ files of a folder, 9.cif before 10.cif.

    Raises:
        CryinGANError: the path is missing, or the folder holds no structures.
    """
    if not path.exists():
        raise CryinGANError(f"{path} is not there; give a file or a folder of structures")
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if STRUCTURE_FILE.fullmatch(file.name) and file.is_file()]
    if not files:
        raise CryinGANError(f"{path} holds no structures: no *.cif, *.vasp, POSCAR* or *.xyz")
    parts = re.compile(r"(\d+)")
    return sorted(files, key=lambda file: [(int(p), "") if p.isdecimal() else (0, p) for p in parts.split(file.name)])


def read_candidates(source: str | Path | Sequence[Atoms]) -> Iterator[Candidate]:
    """Read every structure of a file in any format that ASE reads, of a folder of such files, or of a list.

    Close and coincident atoms are accepted. A structure that the project's own files mark as unrelaxed counts as
    broken.

    Yields:
        The structures in order.

    Raises:
        CryinGANError: there is nothing to read, or the file cannot be cut into frames.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        files = structure_files(path)
        if path.is_dir():
            found = ((file.name, frame) for file in files for frame in _frames_of_one_of_many(file))
        else:
            found = (("", frame) for frame in iterate_frames(path))
    else:
        found = (("", RawFrame(atoms, "", None, atoms.info)) for atoms in source)
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked
        for number, (name, frame) in enumerate(found, 1):
            yield _candidate(number, name, frame)


def _frames_of_one_of_many(path: Path) -> Iterator[RawFrame]:
    """Read every frame of a file; what is wrong with all of the file is one more outcome."""
    empty = True
    try:
        for frame in iterate_frames(path):
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


def salvage_structures(path: str | Path) -> Crystals:
    """Read the structures of a file; a broken one keeps its place and has coordinates that are NaN.

    Broken is a frame that cannot be read, has no sound cell, or has positions that are not finite. Atoms may be close.
    Each broken frame is named in a warning.

    Args:
        path: the file, in any format that ASE reads.

    Returns:
        The structures, in the atom order of the first sound one, with the atoms that the file fixes.

    Raises:
        CryinGANError: the file cannot be read at all, nothing in it is sound, compositions or cells differ, or a frame
            has constraints that cannot be kept.
    """
    require_file(path := Path(path))
    with warnings.catch_warnings(action="ignore"):  # of ASE's parsers; what matters is checked
        frames = [_sound(frame) for frame in iterate_frames(path)]
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
