"""Structure files of any format, frame by frame. Errors are one line naming file, frame and line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.storage.text import DECOMPRESSORS, in_one_line, open_text
from cryingan.structures.cif import iterate_cif
from cryingan.structures.extxyz import iterate_extxyz
from cryingan.structures.frames import RawFrame, check_types, types_example
from cryingan.structures.generated import iterate_generated, load_generated
from cryingan.structures.json_files import is_ase_database, iterate_pymatgen, load_json
from cryingan.structures.lammps import iterate_dump
from cryingan.structures.vasp import iterate_poscar, iterate_xdatcar
from cryingan.structures.vasp_output import whole_steps

# What stands in a name, in small letters; the first that fits holds. ASE's own names are case-sensitive.
NAMES = (
    ("extxyz", r".*xyz"),
    ("cif", r".*\.m?cif"),
    ("json", r".*\.json"),
    ("torch", r".*\.pt"),
    ("vasp-xdatcar", r".*xdatcar.*"),
    ("vasp-out", r".*outcar.*"),
    ("vasp-xml", r".*vasprun.*xml.*"),
    ("vasp", r".*(poscar|contcar|centcar).*|.*\.vasp"),
)
DUMP = re.compile(r"\s*ITEM: (TIMESTEP|UNITS|TIME)\b")
LAMMPS_DATA = re.compile(r"^\s*\d+\s+atom types\s*(#.*)?$", re.MULTILINE)
HEAD = 2000  # characters that a format is recognised from
AMBIGUOUS = {".dat", ".in", ".log", ".md", ".out", ".txt"}  # structures only where the content says so
ONLY_WRITTEN = {"py", "html", "png", "gif", "mp4", "eps", "pov", "x3d"}  # scripts and pictures that ASE knows


def iterate_frames(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """Read the frames of an existing file in any format that ASE reads, pymatgen's JSON and CDVAE's tensors, unchecked.

    Args:
        path: the file.
        types: elements of the types 1, 2, ... of a file that gives none, such as a dump of LAMMPS.

    Raises:
        CryinGANError: the file cannot be read or cut into frames.
    """
    check_types(types)
    match recognise(path):
        case "extxyz":
            return iterate_extxyz(path, types)
        case "vasp":
            return iterate_poscar(path, types)
        case "vasp-xdatcar":
            return iterate_xdatcar(path, types)
        case "lammps-dump-text":
            return iterate_dump(path, types)
        case "lammps-data":
            return iterate_others(path, "lammps-data", **lammps_data_options(path, types))
        case "cif":
            return iterate_cif(path)
        case "json" if not is_ase_database(content := load_json(path)):
            return iterate_pymatgen(path, content)
        case "torch":
            return iterate_generated(path)
        case "vasp-out" | "vasp-xml" as output:
            return whole_steps(path, output, iterate_others(path, output))
        case other:
            return iterate_others(path, other)


def recognise(path: Path) -> str:
    """ASE's name of the file's format, by the file's name where that is usual, or else by its content.

    Raises:
        CryinGANError: it is unknown.
    """
    from ase.io.formats import filetype, ioformats

    name = (path.stem if path.suffix in DECOMPRESSORS else path.name).lower()
    if named := next((kind for kind, pattern in NAMES if re.fullmatch(pattern, name)), None):
        return named
    with open_text(path) as (file, _):
        head = file.read(HEAD)
    if DUMP.match(head):
        return "lammps-dump-text"
    if LAMMPS_DATA.search(head):
        return "lammps-data"
    try:
        file_format = filetype(str(path.absolute()))
    except Exception as error:
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)}") from error
    if file_format not in ioformats:
        raise CryinGANError(f"{path} has an unknown format: use extxyz, CIF, POSCAR or another that ASE reads")
    return "extxyz" if file_format == "xyz" else file_format


def is_structure_file(path: Path) -> bool:
    """Whether an entry of a folder is a file of a known format, hidden ones not."""
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        if path.suffix.lower() in AMBIGUOUS:
            return has_content_of_format(path)
        file_format = recognise(path)
        if file_format == "torch":
            return bool(load_generated(path))
        if file_format != "json":
            return file_format not in ONLY_WRITTEN
        content = load_json(path)
        return is_ase_database(content) or bool(list(iterate_pymatgen(path, content)))
    except CryinGANError:
        return False


def has_content_of_format(path: Path) -> bool:
    """Whether the content, not the name, is that of a format that ASE reads."""
    from ase.io.formats import UnknownFileTypeError, match_magic

    head = path.read_bytes()[:HEAD]
    try:
        return bool(DUMP.match(head.decode(errors="replace")) or match_magic(head))
    except UnknownFileTypeError:
        return False


def lammps_data_options(path: Path, types: Sequence[str]) -> dict[str, Any]:
    """Arguments of ASE's reader of LAMMPS's data files, which takes numbers of types for atomic numbers.

    Raises:
        CryinGANError: nothing gives the elements of the types.
    """
    from ase.data import atomic_numbers

    if not types:
        with open_text(path) as (file, _):
            count = re.search(r"(\d+)\s+atom types", file.read(HEAD))
        given = types_example(int(count[1]) if count else 2)
        raise CryinGANError(f"{path}: types are numbers, no elements; give {given}")
    return {"Z_of_type": {number: atomic_numbers[symbol] for number, symbol in enumerate(types, start=1)}}


def iterate_others(path: Path, file_format: str, **options: Any) -> Iterator[RawFrame]:
    """Read the frames of a file by ASE; reading ends at the first one that it cannot read."""
    from ase.io import iread

    frames = iread(str(path.absolute()), index=":", format=file_format, do_not_split_by_at_sign=True, **options)
    for number in itertools.count(1):
        try:
            atoms = next(frames)
        except StopIteration:
            return
        except Exception as error:
            where = f"{path}, frame {number}"
            refusal = CryinGANError(f"{where}: {in_one_line(error)} (read as {file_format})")
            if number == 1:
                raise refusal from error
            yield RawFrame(refusal, where, None, {})
            return
        yield RawFrame(atoms, f"{path}, frame {number}", None, {})
