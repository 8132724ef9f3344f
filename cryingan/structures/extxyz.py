"""Extended XYZ files, frame by frame. Errors are one line naming file, frame and line."""

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

# A larger count is a typing error, and ASE would allocate memory for all these atoms before it looks at the file.
MAX_ATOMS = 1_000_000


class RawFrame(NamedTuple):
    """One frame of an extended XYZ file, cut out and not yet parsed.

    Attributes:
        lines: the comment and one line per atom; fewer where the file ends early.
        atoms: the promised number of atoms.
        where: file and frame, for messages.
        line_number: number of the frame's first line in the file, from 1.
        share: the part of the file that has been read, 0 to 1.
    """

    lines: list[str]
    atoms: int
    where: str
    line_number: int
    share: float


def cut_extxyz(path: Path) -> Iterator[RawFrame]:
    """Cut an extended XYZ file into its frames by their numbers of atoms.

    ASE's own search for frames stops silently at a blank line, believes any atom count, and does not name the frame
    that it cannot read.

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
            yield RawFrame(lines, count, where, line_number + 1, raw.tell() / size)
            line_number += count + 2


def iterate_extxyz(path: Path) -> Iterator[tuple[Atoms, float]]:
    """Atoms of every frame, and the part of the file read so far."""
    noted = False
    for raw in cut_extxyz(path):
        atoms = parse_frame(raw)
        if not noted and "pbc" not in raw.lines[0] and atoms.pbc.all():
            log.info("%s has no pbc: frames with a Lattice are taken as periodic", path)
            noted = True
        yield atoms, raw.share


def atom_count(header: str, where: str) -> int:
    """Number of atoms, from the first line of a frame."""
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
    """Lattice, Properties and pbc from the second line of a frame, as ASE reads them."""
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


def parse_frame(raw: RawFrame) -> Atoms:
    """Parse a frame by ASE.

    Raises:
        CryinGANError: the frame ends early, or names the first line that ASE cannot read.
    """
    from ase.io.extxyz import read_xyz

    lines, where, comment_number = raw.lines, raw.where, raw.line_number + 1
    if len(lines) <= raw.atoms:
        found = max(len(lines) - 1, 0)
        raise CryinGANError(f"{where} ends early: {raw.atoms} atoms promised, {found} found")
    comment = read_comment(lines[0], f"{where}, line {comment_number}")

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
        # ASE reads the first n atoms exactly when none of their lines is broken: bisection finds the first broken one.
        atom = bisect_left(range(len(lines) - 1), True, key=lambda atoms: reason(atoms) is not None)
        error = reason(atom)
        place = f"{where}, atom {atom} (line {comment_number + atom})" if atom else f"{where}, line {comment_number}"
        raise CryinGANError(f"{place}: {explain(error)} in {shortened(lines[atom])}") from error


def explain(error: Exception) -> str:
    """ASE's error in a user's words."""
    if isinstance(error, KeyError):
        return f"unknown element {error}"
    if "tuple of length" in str(error):
        return "too few columns"
    return in_one_line(error)
