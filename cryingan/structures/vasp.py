"""POSCAR, CONTCAR and XDATCAR files, frame by frame. Errors are one line naming file, frame and line.

ASE reads one structure of a POSCAR and stops silently at a blank line of an XDATCAR.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.text import shortened
from cryingan.structures.frames import (
    MAX_ATOMS,
    NumberedLines,
    RawFrame,
    cut_within_number,
    element,
    ends_early,
    numbered_lines,
)

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

CONFIGURATION = re.compile(r"\s*(direct|cartesian|konfig)\w*(\s+configuration)?\s*=", re.IGNORECASE)


class Header(NamedTuple):
    """What stands before the positions.

    Attributes:
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        scale: factors of Cartesian positions.
        symbols: of every atom.
    """

    cell: np.ndarray
    scale: np.ndarray
    symbols: list[str]


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


def numbers(line: str) -> list[float]:
    """The numbers with which a line begins."""
    found = []
    for word in line.split():
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


def words(line: str) -> list[str]:
    """The words of a line, without a comment behind them."""
    return line.split("!")[0].split()


def counts(line: str) -> list[int]:
    """The counts of a line; none where something else stands."""
    return [int(word) for word in words(line)] if all(word.isdecimal() for word in words(line)) else []


def looks_like_header(lines: Sequence[str]) -> bool:
    """Whether eight lines are title, scale, three vectors, counts with elements above them or without, and no numbers.

    Rows of coordinates in front of a title look much the same.
    """
    if len(lines) < 6:
        return False
    title, scale, *vectors = [len(numbers(line)) for line in lines[:5]]
    named = not numbers(lines[5])
    amounts, after = lines[6 if named else 5 :][:1], lines[7 if named else 6 :][:1]
    return (
        (scale == 1 or (scale == 3 and title < 3))
        and vectors == [3, 3, 3]
        and bool(found := counts("".join(amounts)))
        and len(found) == (len(words(lines[5])) if named else len(found))
        and not numbers("".join(after))
    )


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


def read_header(lines: NumberedLines, where: str, path: Path, types: Sequence[str]) -> Header:
    """Read title, scale, lattice vectors, elements and counts.

    Raises:
        CryinGANError: names the line that is no header's.
    """
    start = lines.number
    head = lines.read(6)
    for place, line in enumerate(head[1:5], start=1):
        if len(numbers(line)) not in ((1, 3) if place == 1 else (3,)):
            what = "the scale of the cell" if place == 1 else "a lattice vector"
            raise CryinGANError(f"{where}, line {start + place}: {what} should stand here, not {shortened(line)}")
    if len(head) < 6:
        raise CryinGANError(f"{where} ends early, in its header (line {start + len(head) - 1})")
    scale, cell = np.array(numbers(head[1])), np.array([numbers(line) for line in head[2:5]])
    if scale[0] < 0:  # then it is the volume
        volume = abs(np.linalg.det(cell))
        scale = np.cbrt(-scale / volume) if volume else np.array([np.nan])
    names = None if numbers(head[5]) else words(head[5])
    line = head[5] if names is None else "".join(lines.read())
    amounts = atom_counts(line, f"{where}, line {lines.number - 1}")
    species = elements(names, head[0], len(amounts), f"{where}, line {start + 5}", path, types)
    symbols = [symbol for symbol, amount in zip(species, amounts, strict=True) for _ in range(amount)]
    return Header(cell * scale, scale, symbols)


def atom_counts(line: str, where: str) -> list[int]:
    """Numbers of atoms.

    Raises:
        CryinGANError: something else stands there, or more than any file holds.
    """
    for word in line.split():
        if word.isdecimal() and len(word) > len(str(MAX_ATOMS)):
            raise CryinGANError(f"{where}: {shortened(word)} atoms are more than {MAX_ATOMS:,}")
    if not sum(found := counts(line)):
        raise CryinGANError(f"{where}: the numbers of atoms should stand here, not {shortened(line)}")
    return found


def elements(
    names: Sequence[str] | None, title: str, count: int, where: str, path: Path, types: Sequence[str]
) -> list[str]:
    """Elements of a header: its own, `types`, those of its title, or those of a POTCAR or OUTCAR beside it.

    Args:
        names: words of the line of elements, such as Li_sv or Li/0a1b2c3d; None where there is none.
        title: first line of the header.
        count: number of elements.
        where: file, frame and line, for messages.
        path: the file.
        types: elements for a header that names none.

    Raises:
        CryinGANError: one is unknown, or they are not `count`.
    """
    if names is not None:
        found = [element(re.split("[_/]", name)[0], where) for name in names]
    else:
        found = list(types) or elements_elsewhere(title, count, path)
    if len(found) != count:
        given = f"{len(found)} elements ({' '.join(found)})" if found else "no elements"
        key = "" if names else "; (data.)types=[Li,Cl] names them"
        raise CryinGANError(f"{where}: {given} for {count} numbers of atoms{key}")
    return found


def elements_elsewhere(title: str, count: int, path: Path) -> list[str]:
    """Elements of the formulae in the title of a header, or of a POTCAR or OUTCAR beside the file; said in a line."""
    from ase.data import atomic_numbers
    from ase.io.vasp import atomtypes_outpot

    parts = re.split(r"[\s,_=-]+", title.strip())
    formulae = [re.findall("[A-Z][a-z]?", word) for word in parts if re.fullmatch(r"([A-Z][a-z]?\d*)+", word)]
    found = [symbol for formula in formulae if all(map(atomic_numbers.get, formula)) for symbol in formula]
    if not found:
        with suppress(Exception):  # ASE raises one of its own where it finds neither file
            found = atomtypes_outpot(str(path), count)
    if len(found) == count:
        log.info("%s names no elements: taken from its title, POTCAR or OUTCAR are %s", path, " ".join(found))
    return found


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
    rows: list[str] = []
    while len(rows) < promised and is_row(first(lines)) and not looks_like_header(lines.peek(8)):
        rows += lines.read()
    positions = [numbers(row)[:3] for row in rows]
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
