"""Where structures come from: a file, a folder of files, or all files that fit a pattern such as `set/*.cif`."""

from __future__ import annotations

import glob
import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError
from cryingan.storage.hashes import file_hash
from cryingan.structures.formats import is_structure_file

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

OWN_FILES = {".cryingan", "manifest.json"}  # what this project writes beside structures
STAGES = ("samples.extxyz", "repaired.extxyz", "relaxed.extxyz")  # of samples that `sample.py` relaxes
ONE_RUN = (STAGES, ("POSCAR", "CONTCAR", "XDATCAR", "OUTCAR", "vasprun.xml"))  # files that repeat structures
BEST_OF_RUN = ("CONTCAR", "vasprun.xml", "OUTCAR", "POSCAR")  # the one to take first
NUMBER = re.compile(r"(\d+)")


def structure_files(path: str | Path) -> list[Path]:
    """The files of a source: the file itself, those of a folder, or those that fit a pattern, 9.cif before 10.cif.

    A folder gives the files in it that ASE or this project reads, none of its subfolders; `name_the_others` names what
    is left out. A pattern (`*`, `?`, `[...]`, `**` for any depth) gives all files that fit, hidden ones not.

    Raises:
        CryinGANError: nothing is there, or the folder holds no structures or those of one run several times.
    """
    path = Path(path)
    if path.is_dir():
        return files_of_folder(path)
    if path.is_file():
        return [path]
    if not glob.has_magic(str(path)):
        raise CryinGANError(f"{path} is not there; give a file, a folder or a pattern of structures")
    folder = root(path)
    found = list(folder.glob(path.relative_to(folder).as_posix()))
    files = [file for file in found if file.is_file() and file.name.startswith(".") <= path.name.startswith(".")]
    if not files:
        what = "only folders fit it" if found else "nothing fits it"
        raise CryinGANError(f"{path}: {what}; give a file, a folder or a pattern of structures")
    return sorted(files, key=natural_order)


def files_of_folder(folder: Path) -> list[Path]:
    """The files of structures in a folder, in natural order.

    Raises:
        CryinGANError: there are none, or several files of one run, which hold the same structures.
    """
    files = sorted(filter(is_structure_file, folder.iterdir()), key=natural_order)
    if not files:
        raise CryinGANError(
            f"{folder} holds no structures: no *.cif, *.vasp, POSCAR*, *.xyz or others that ASE reads{_below(folder)}"
        )
    for names_of_run in ONE_RUN:
        if len(same := [file for file in files if file.name.removesuffix(".gz") in names_of_run]) > 1:
            repeated = " and ".join(file.name for file in same)
            raise CryinGANError(
                f"{folder}: {repeated} are of one run and repeat structures; give one, such as {same[0]}"
            )
    return files


def _below(folder: Path) -> str:
    """What gives the structures of subfolders, for messages; empty where there are none."""
    for depth in ("*", "*/*"):
        for inner in sorted(filter(Path.is_dir, folder.glob(depth)), key=natural_order):
            if not (files := sorted(filter(is_structure_file, inner.iterdir()), key=natural_order)):
                continue
            name = next((one for one in BEST_OF_RUN for file in files if file.name == one), files[0].name)
            if name not in BEST_OF_RUN and len(list(folder.glob(f"{depth}/{glob.escape(name)}"))) == 1:
                name = f"*{files[0].suffix}"
            pattern = f"{glob.escape(str(folder))}/{depth}/{name if name[0] == '*' else glob.escape(name)}"
            return f"; for those in its folders give '{pattern}', for those of one '{inner}'"
    return ""


def name_the_others(path: str | Path) -> None:
    """Name the entries of a folder that are no structures in a warning."""
    if not (folder := Path(path)).is_dir():
        return
    entries = sorted(folder.iterdir(), key=natural_order)
    left = [entry.name for entry in entries if entry.name not in OWN_FILES and not is_structure_file(entry)]
    if left:
        names = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
        log.warning("%s: %d of %d entries are no structures and left out: %s", folder, len(left), len(entries), names)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key of names: numbers in them by value, the rest by letters.

    >>> sorted([Path("10.cif"), Path("9.cif"), Path("b2/1.cif"), Path("b10/0.cif")], key=natural_order)
    [PosixPath('9.cif'), PosixPath('10.cif'), PosixPath('b2/1.cif'), PosixPath('b10/0.cif')]
    """
    return [(int(part), "") if part.isdecimal() else (0, part) for part in NUMBER.split(str(path))]


def source_hash(source: str | Path | Sequence[Atoms]) -> str:
    """SHA-256 of a source of structures: a file's content, file names and contents of several, or the atoms.

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
    if path.is_file():
        return file_hash(path)
    files = structure_files(path)
    lines = [f"{file_hash(file)}  {name}\n" for file, name in zip(files, names(path, files), strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def names(path: Path, files: Sequence[Path]) -> list[str]:
    """Names of the files of a folder or a pattern, as short as they are unique: below the folder that holds all."""
    folder = path if path.is_dir() else root(path)
    return [file.relative_to(folder).as_posix() for file in files]


def root(pattern: Path) -> Path:
    """The deepest folder above all files that fit a pattern.

    >>> root(Path("runs/set*/1.cif")).as_posix()
    'runs'
    """
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)) or parent.is_dir())
