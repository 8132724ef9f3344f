"""The header of POSCAR and XDATCAR files: cell, elements and numbers of atoms."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.text import shortened
from cryingan.structures.frames import MAX_ATOMS, NumberedLines, element, types_example

log = logging.getLogger(__name__)


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
    if not head:
        raise CryinGANError(f"{where} is empty")
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
        key = "" if names else f"; {types_example(count)} names them"
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
