"""Structure files of any format, frame by frame. Errors are one line naming file, frame and line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.storage.text import DECOMPRESSORS, in_one_line, open_text, shortened
from cryingan.structures.extxyz import MAX_ATOMS, RawFrame, iterate_extxyz


def require_file(path: Path) -> None:
    """Refuse a path that is not a file."""
    if path.is_dir():
        raise CryinGANError(f"{path} is a folder; give a file of structures")
    if not path.is_file():
        raise CryinGANError(f"{path} is not there; give a file of structures")


def iterate_frames(path: Path) -> Iterator[RawFrame]:
    """Read the frames of an existing file in any format that ASE reads, unchecked.

    Raises:
        CryinGANError: the file cannot be read or cut into frames.
    """
    file_format = recognise(path)
    return iterate_extxyz(path) if file_format == "extxyz" else iterate_others(path, file_format)


def recognise(path: Path) -> str:
    """ASE's name of the file's format; `extxyz` for every file that is named *xyz, whatever its content."""
    from ase.io.formats import filetype, ioformats

    stem = path.stem if path.suffix in DECOMPRESSORS else path.name
    if stem.lower().endswith("xyz"):
        return "extxyz"
    try:
        file_format = filetype(str(path.absolute()))
    except Exception as error:
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)}") from error
    if file_format not in ioformats:
        raise CryinGANError(f"{path} has an unknown format: use extxyz, CIF, POSCAR or another that ASE reads")
    return "extxyz" if file_format == "xyz" else file_format


def iterate_others(path: Path, file_format: str) -> Iterator[RawFrame]:
    """Read the frames of a file that is not extended XYZ."""
    from ase.io import iread

    if file_format in ("vasp", "vasp-xdatcar"):
        refuse_huge_counts(path)
    frames = iread(str(path.absolute()), index=":", format=file_format, do_not_split_by_at_sign=True)
    for number in itertools.count(1):
        try:
            atoms = next(frames)
        except StopIteration:
            return
        except Exception as error:
            raise CryinGANError(f"{path}, frame {number}: {in_one_line(error)} (read as {file_format})") from error
        yield RawFrame(atoms, f"{path}, frame {number}", None, {})


def refuse_huge_counts(path: Path) -> None:
    """Refuse atom counts in the header of a VASP file that are larger than any real file's."""
    with open_text(path) as (file, _):
        header = list(itertools.islice(file, 5, 7))
    for number, line in enumerate(header, start=6):
        for word in line.split():
            if word.isdecimal() and len(word) > len(str(MAX_ATOMS)):
                raise CryinGANError(f"{path}, line {number}: {shortened(word)} atoms are more than {MAX_ATOMS:,}")
