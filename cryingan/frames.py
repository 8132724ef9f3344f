"""The frames of a structure file, one at a time; what cannot be read ends in one line naming file, frame and line."""

from __future__ import annotations

import bz2
import gzip
import itertools
import logging
import lzma
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

DECOMPRESSORS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# More than these are a slip of the pen, and ASE would reserve memory for all of them before it looks at the file.
MAX_ATOMS = 1_000_000


def iterate_frames(path: Path) -> Iterator[tuple[Atoms, float | None]]:
    """Frames of a file in any format that ASE reads, as ASE understands them.

    Args:
        path: an existing file.

    Yields:
        The frame, and the share of the file read so far (None where it is not known).

    Raises:
        CryinGANError: a frame cannot be parsed.
    """
    file_format = recognise(path)
    return iterate_extxyz(path) if file_format in ("extxyz", "xyz") else iterate_others(path, file_format)


def recognise(path: Path) -> str:
    """ASE's name of the file's format; the name of the file decides for extended XYZ, whatever its content."""
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
    return file_format


def iterate_others(path: Path, file_format: str) -> Iterator[tuple[Atoms, None]]:
    """Frames of a file that is not extended XYZ."""
    from ase.io import iread

    if file_format in ("vasp", "vasp-xdatcar"):
        refuse_huge_counts(path)
    frames = iread(str(path.absolute()), index=":", format=file_format, do_not_split_by_at_sign=True)
    for number in itertools.count(1):
        try:
            frame = next(frames)
        except StopIteration:
            return
        except Exception as error:
            raise CryinGANError(f"{path}, frame {number}: {in_one_line(error)} (read as {file_format})") from error
        yield frame, None


def refuse_huge_counts(path: Path) -> None:
    """Refuse atom counts in the header of a VASP file that no file can hold."""
    with open_text(path) as (file, _):
        header = list(itertools.islice(file, 5, 7))
    for number, line in enumerate(header, start=6):
        for word in line.split():
            if word.isdecimal() and len(word) > len(str(MAX_ATOMS)):
                raise CryinGANError(f"{path}, line {number}: {shortened(word)} atoms are more than {MAX_ATOMS:,}")


@contextmanager
def open_text(path: Path) -> Iterator[tuple[TextIOWrapper, BinaryIO]]:
    """The text of a file, decompressed where its name says so, and the file below it, whose position shows progress."""
    try:
        with path.open("rb") as raw:
            binary = DECOMPRESSORS[path.suffix](raw) if path.suffix in DECOMPRESSORS else raw
            yield TextIOWrapper(binary, encoding="utf-8-sig", errors="replace"), raw
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)}") from error


def iterate_extxyz(path: Path) -> Iterator[tuple[Atoms, float]]:
    """Frames of an extended XYZ file.

    The frames are cut out here and parsed by ASE one by one: ASE's own search for frames ends silently at a blank line,
    believes any atom count, and does not say which frame it cannot read.
    """
    size = path.stat().st_size
    line_number, periodic_by_default = 0, False
    with open_text(path) as (file, raw):
        for number in itertools.count(1):
            while (header := file.readline()) and not header.strip():
                line_number += 1
            if not header:
                return
            where = f"{path}, frame {number}"
            count = atom_count(header, f"{where}, line {line_number + 1}")
            lines = list(itertools.islice(file, count + 1))
            if len(lines) <= count:
                raise CryinGANError(f"{where} ends early: {count} atoms promised, {max(len(lines) - 1, 0)} found")
            comment = read_comment(lines[0], f"{where}, line {line_number + 2}")
            if "pbc" not in comment and "Lattice" in comment and not periodic_by_default:
                log.info("%s has no pbc: frames with a Lattice are taken as periodic", path)
                periodic_by_default = True
            yield parse_extxyz(lines, comment, where, line_number + 2), raw.tell() / size
            line_number += count + 2


def atom_count(header: str, where: str) -> int:
    """The number on the first line of a frame."""
    try:
        count = int(header)
    except ValueError:
        raise CryinGANError(
            f"{where}: the number of atoms of a frame should stand here, not {shortened(header)}; "
            "is the number of the frame before it too small?"
        ) from None
    if not 1 <= count <= MAX_ATOMS:
        raise CryinGANError(f"{where}: a frame has 1 to {MAX_ATOMS:,} atoms, not {shortened(header)}")
    return count


def read_comment(line: str, where: str) -> dict[str, Any]:
    """The keys on the second line of a frame that say what the atoms' columns are, as ASE reads them."""
    from ase.io.extxyz import key_val_str_to_dict

    try:
        comment = key_val_str_to_dict(line) if line.strip() else {}
    except Exception as error:
        raise CryinGANError(f"{where}: {in_one_line(error)}") from error
    comment = {key: value for key, value in comment.items() if key in ("Lattice", "Properties", "pbc")}
    fields = str(comment.get("Properties", "species:S:1:pos:R:3")).split(":")
    columns = dict(zip(fields[::3], fields[2::3], strict=False))
    if columns.get("pos") != "3" or not {"species", "Z"} & set(columns):
        raise CryinGANError(
            f"{where}: Properties should hold species:S:1 and pos:R:3, not {shortened(':'.join(fields))}"
        )
    if any(not text.isdecimal() or len(text) > 3 for text in columns.values()):
        raise CryinGANError(f"{where}: Properties has a number of columns that is not 1 to 999")
    return comment


def parse_extxyz(lines: list[str], comment: dict[str, Any], where: str, comment_number: int) -> Atoms:
    """One frame, by ASE; when ASE cannot, the first line that it cannot read is named.

    Args:
        lines: the comment and one line per atom.
        comment: the keys on the comment line.
        where: file and frame, for messages.
        comment_number: number of the comment line in the file, from 1.
    """
    from ase.io.extxyz import read_xyz

    def parse(atoms: int) -> Atoms:
        text = "".join([f"{atoms}\n", *lines[: atoms + 1]])
        return next(read_xyz(StringIO(text), 0, properties_parser=lambda _: dict(comment)))

    def reason(atoms: int) -> Exception | None:
        try:
            parse(atoms)
        except Exception as error:
            return error
        return None

    try:
        return parse(len(lines) - 1)
    except Exception:
        # The first atoms of a frame can be read exactly when no line among them is broken.
        atom = bisect_left(range(len(lines) - 1), True, key=lambda atoms: reason(atoms) is not None)
        error = reason(atom)
        place = f"{where}, atom {atom} (line {comment_number + atom})" if atom else f"{where}, line {comment_number}"
        raise CryinGANError(f"{place}: {explain(error)} in {shortened(lines[atom])}") from error


def explain(error: Exception) -> str:
    """ASE's error in the words of a user."""
    if isinstance(error, KeyError):
        return f"unknown element {error}"
    if "tuple of length" in str(error):
        return "too few columns"
    return in_one_line(error)


def in_one_line(error: Exception) -> str:
    """An error of a library as part of a one-line message."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shortened(text: str) -> str:
    """A quotation of what a file says, printable and of bounded length."""
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")
