"""Extended XYZ files, frame by frame; what cannot be read ends in one line naming file, frame and line."""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line, open_text, shortened

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

# More than these are a slip of the pen, and ASE would reserve memory for all of them before it looks at the file.
MAX_ATOMS = 1_000_000


class ExtxyzFrame(NamedTuple):
    """One frame of an extended XYZ file, cut out and not yet parsed.

    Attributes:
        lines: the comment and one line per atom; fewer where the file ends early.
        atoms: how many are promised.
        where: file and frame, for messages.
        line_number: number of the frame's first line in the file, from 1.
        share: of the file, read so far.
    """

    lines: list[str]
    atoms: int
    where: str
    line_number: int
    share: float


def cut_extxyz(path: Path) -> Iterator[ExtxyzFrame]:
    """Cut an extended XYZ file into its frames by their numbers of atoms.

    ASE's own search for frames ends silently at a blank line, believes any atom count, and does not say which frame it
    cannot read.

    Raises:
        CryinGANError: the file cannot be read, or no number of atoms stands where a frame begins.
    """
    size = path.stat().st_size
    line_number = 0
    with open_text(path) as (file, raw):
        for number in itertools.count(1):
            while (header := file.readline()) and not header.strip():
                line_number += 1
            if not header:
                return
            where = f"{path}, frame {number}"
            count = atom_count(header, f"{where}, line {line_number + 1}")
            lines = list(itertools.islice(file, count + 1))
            yield ExtxyzFrame(lines, count, where, line_number + 1, raw.tell() / size)
            line_number += count + 2


def whole_comment(frame: ExtxyzFrame) -> dict[str, Any]:
    """The comment's keys as `read_comment` gives them, of a frame that has all its lines."""
    if len(frame.lines) <= frame.atoms:
        found = max(len(frame.lines) - 1, 0)
        raise CryinGANError(f"{frame.where} ends early: {frame.atoms} atoms promised, {found} found")
    return read_comment(frame.lines[0], f"{frame.where}, line {frame.line_number + 1}")


def iterate_extxyz(path: Path) -> Iterator[tuple[Atoms, float]]:
    """Frames of an extended XYZ file, parsed by ASE one by one."""
    periodic_by_default = False
    for frame in cut_extxyz(path):
        comment = whole_comment(frame)
        if "pbc" not in comment and "Lattice" in comment and not periodic_by_default:
            log.info("%s has no pbc: frames with a Lattice are taken as periodic", path)
            periodic_by_default = True
        yield parse_extxyz(frame.lines, comment, frame.where, frame.line_number + 1), frame.share


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
