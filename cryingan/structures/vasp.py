"""POSCAR, CONTCAR and XDATCAR files, frame by frame. Errors are one line naming file, frame and line.

ASE reads one structure of a POSCAR and stops silently at a blank line of an XDATCAR.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.text import shortened
from cryingan.structures.frames import NumberedLines, RawFrame, cut_within_number, ends_early, numbered_lines
from cryingan.structures.vasp_header import Header, looks_like_header, numbers, read_header

if TYPE_CHECKING:
    from ase import Atoms

CONFIGURATION = re.compile(r"\s*(direct|cartesian|konfig)\w*(\s+configuration)?\s*=", re.IGNORECASE)


def iterate_poscar(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """Read one POSCAR or several that were put together; velocities are left out.

    Args:
        path: the file.
        types: elements of a file of VASP 4, which names none.

    Raises:
        CryinGANError: a header cannot be read, and something follows it.
    """
    with numbered_lines(path) as lines:
        for number in itertools.count(1):
            where = f"{path}, frame {number}"
            try:
                header = read_header(lines, where, path, types)
                mode = next_word(lines)
                if selective := mode.startswith("s"):
                    mode = next_word(lines)
                outcome = read_positions(lines, header, where, mode.startswith(("c", "k")), selective)
            except CryinGANError as error:
                outcome = error
            more = skip_to_header(lines)
            yield RawFrame(outcome, where, lines.share, {})
            if not more:
                return


def iterate_xdatcar(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """Read the frames of one XDATCAR or several that were put together, with blank lines between them or without.

    Args:
        path: the file.
        types: elements, where the file names none.

    Raises:
        CryinGANError: a header cannot be read, and something follows it.
    """
    header = None
    with numbered_lines(path) as lines:
        for number in itertools.count(1):
            where = f"{path}, frame {number}"
            try:
                if header is None or begins_header(lines):
                    header = None  # until the new one is known
                    header = read_header(lines, where, path, types)
                lines.skip_blank()
                cartesian = next_word(lines).startswith("c") if CONFIGURATION.match(first(lines)) else False
                outcome = read_positions(lines, header, where, cartesian)
            except CryinGANError as error:
                outcome = error
            blank = lines.skip_blank()
            if header is None and (number == 1 or lines.peek()):
                raise outcome  # the cell of what follows is unknown
            yield RawFrame(outcome, where, lines.share, {})
            if not lines.peek():
                return
            if blank:
                lines.put_back(["\n"])  # the title of the next run may be blank


def first(lines: NumberedLines) -> str:
    """The next line; empty at the end of the file."""
    return "".join(lines.peek())


def next_word(lines: NumberedLines) -> str:
    """Read a line, in small letters and without blanks around it; empty at the end of the file."""
    return "".join(lines.read()).strip().lower()


def begins_header(lines: NumberedLines) -> bool:
    """Whether a header follows in an XDATCAR, whole or cut; moves on to its title."""
    if looks_like_header(lines.peek(8)):
        return True
    lines.skip_blank()
    return not CONFIGURATION.match(first(lines)) and not is_row(first(lines))


def is_row(line: str) -> bool:
    """Whether a line stands for the position of an atom, readable or not."""
    return bool(numbers(line)) or line.lstrip()[:1] in set("+-.*0123456789")


def skip_to_header(lines: NumberedLines) -> bool:
    """Move on behind what follows the positions of a POSCAR; whether another structure begins there.

    Velocities and comments may follow. A text above a single number is the title of a structure, whole or cut.
    """
    while lines.peek():
        title, scale = [*lines.peek(2), ""][:2]
        titled = title.strip() and not numbers(title) and not title.lower().lstrip().startswith("lattice")
        if looks_like_header(lines.peek(8)) or (titled and len(numbers(scale)) == 1):
            return True
        lines.read()
    return False


def read_rows(lines: NumberedLines, promised: int) -> tuple[list[str], list[list[float]]]:
    """Lines of the atoms of a frame, fewer than `promised` where it ends early, and the numbers that begin them."""
    rows = lines.peek(promised)
    positions = [numbers(row)[:3] for row in rows]
    if all(len(position) == 3 for position in positions):  # no header among them: its scale is one number
        return lines.read(promised), positions
    rows = []
    while len(rows) < promised and is_row(first(lines)) and not looks_like_header(lines.peek(8)):
        rows += lines.read()
    return rows, positions[: len(rows)]


def read_positions(lines: NumberedLines, header: Header, where: str, cartesian: bool, selective: bool = False) -> Atoms:
    """Read one line for every atom.

    Args:
        lines: the file, before the first of them.
        header: header of the structure.
        where: file and frame, for messages.
        cartesian: whether they are Cartesian.
        selective: whether T or F behind a coordinate say if it may move; those that may not are constraints of ASE.

    Raises:
        CryinGANError: names the first line that cannot be read.
    """
    from ase import Atoms
    from ase.io.vasp import set_constraints

    promised, start = len(header.symbols), lines.number
    rows, positions = read_rows(lines, promised)
    for atom, position in enumerate(positions):
        if len(position) < 3:
            place = f"{where}, atom {atom + 1} (line {start + atom})"
            raise CryinGANError(f"{place}: three numbers should stand here, not {shortened(rows[atom])}")
    if len(rows) < promised:
        raise ends_early(where, promised, len(rows))
    if cut_within_number(rows, slice(3)):
        raise CryinGANError(f"{where} ends early: within the last number, {shortened(rows[-1])}")
    atoms = Atoms(header.symbols, cell=header.cell, pbc=True)
    if cartesian:
        atoms.positions = np.array(positions) * header.scale
    else:
        atoms.set_scaled_positions(np.array(positions))
    if selective:
        fixed = [[word.strip(".").upper().startswith("F") for word in row.split()[3:6]] for row in rows]
        set_constraints(atoms, np.array([flags if len(flags) == 3 else [False] * 3 for flags in fixed]))
    return atoms
