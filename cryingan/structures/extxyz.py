"""Extended XYZ files, frame by frame. Errors are one line naming file, frame and line."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line, open_text, shortened

if TYPE_CHECKING:
    from ase import Atoms

# A larger count is a typing error, and ASE would allocate memory for all these atoms before it looks at the file.
MAX_ATOMS = 1_000_000
# ASE refuses a stress of six components under these names, and takes it under any other.
TENSOR, ANY_LENGTH = re.compile(r"\b(stress|virial)(\s*=)"), "__of_any_length"


class RawFrame(NamedTuple):
    """One frame of a file, unchecked, or why it cannot be read.

    Attributes:
        outcome: the structure, or the error of reading it.
        where: file and frame, for messages.
        share: the part of the file that has been read, 0 to 1; None where it is unknown.
        info: all keys that the frame gives besides the atoms.
    """

    outcome: Atoms | CryinGANError
    where: str
    share: float | None
    info: Mapping[str, Any]


def iterate_extxyz(path: Path) -> Iterator[RawFrame]:
    """Read an extended XYZ file, cut into frames by their numbers of atoms.

    ASE's own search for frames stops silently at a blank line, believes any atom count, and does not name the frame
    that it cannot read.

    Raises:
        CryinGANError: the file cannot be read, or no number of atoms stands where a frame begins.
    """
    size = path.stat().st_size
    line = 1
    with open_text(path) as (file, raw):
        for number in itertools.count(1):
            while (header := file.readline()) and not header.strip():
                line += 1
            if not header:
                return
            where = f"{path}, frame {number}"
            count = atom_count(header, f"{where}, line {line}")
            lines = list(itertools.islice(file, count + 1))
            info: dict[str, Any] = {}
            try:
                info = read_comment(lines[0] if lines else "", f"{where}, line {line + 1}")
                if len(lines) <= count:
                    found = max(len(lines) - 1, 0)
                    raise CryinGANError(f"{where} ends early: {count} atoms promised, {found} found")
                outcome = parse_frame(lines, info, where, line + 1)
            except CryinGANError as error:
                outcome = error
            yield RawFrame(outcome, where, raw.tell() / size, info)
            line += count + 2


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
    """Keys and values from the second line of a frame, as ASE reads them."""
    from ase.io.extxyz import key_val_str_to_dict

    renamed = TENSOR.sub(rf"\1{ANY_LENGTH}\2", line)
    try:
        found = key_val_str_to_dict(renamed) if line.strip() else {}
        return {key.removesuffix(ANY_LENGTH): value for key, value in found.items()}
    except Exception as error:  # ASE raises whatever the text leads it to
        raise CryinGANError(f"{where}: {in_one_line(error)}") from error


def check_columns(properties: object, where: str) -> None:
    """Refuse the key Properties without species or positions, or with more columns than a line can have."""
    fields = str(properties).split(":")
    columns = dict(zip(fields[::3], fields[2::3], strict=False))
    if columns.get("pos") != "3" or not {"species", "Z"} & set(columns):
        raise CryinGANError(
            f"{where}: Properties should hold species:S:1 and pos:R:3, not {shortened(':'.join(fields))}"
        )
    if any(not text.isdecimal() or len(text) > 3 for text in columns.values()):
        raise CryinGANError(f"{where}: Properties has a number of columns that is not 1 to 999")


def parse_frame(lines: list[str], info: Mapping[str, Any], where: str, line: int) -> Atoms:
    """Parse a frame by ASE: lattice, boundary conditions, species and positions.

    Args:
        lines: the comment and one line per atom.
        info: keys and values of the comment.
        where: file and frame, for messages.
        line: number of the comment in the file, from 1.

    Raises:
        CryinGANError: names the first line that ASE cannot read.
    """
    from ase.io.extxyz import read_xyz

    comment = {key: info[key] for key in ("Lattice", "Properties", "pbc") if key in info}
    check_columns(comment.get("Properties", "species:S:1:pos:R:3"), f"{where}, line {line}")

    def parse(atoms: int) -> Atoms:
        text = "".join([f"{atoms}\n", *lines[: atoms + 1]])
        return next(read_xyz(StringIO(text), 0, properties_parser=lambda _: dict(comment)))

    def fault(atoms: int) -> Exception | None:
        try:
            parse(atoms)
        except Exception as error:
            return error
        return None

    try:
        return parse(len(lines) - 1)
    except Exception:
        # ASE reads the first n atoms exactly when none of their lines is broken: bisection finds the first broken one.
        atom = bisect_left(range(len(lines) - 1), True, key=lambda atoms: fault(atoms) is not None)
        error = fault(atom)
        place = f"{where}, atom {atom} (line {line + atom})" if atom else f"{where}, line {line}"
        raise CryinGANError(f"{place}: {explain(error)} in {shortened(lines[atom])}") from error


def explain(error: Exception) -> str:
    """ASE's error in a user's words."""
    if isinstance(error, KeyError):
        return f"unknown element {error}"
    if "tuple of length" in str(error):
        return "too few columns"
    return in_one_line(error)
