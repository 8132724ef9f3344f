"""Text dumps of LAMMPS, frame by frame. Errors are one line naming file, frame and line.

ASE takes numbers of types for atomic numbers, and does not name the frame that it cannot read.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.text import shortened
from cryingan.structures.frames import (
    MAX_ATOMS,
    NumberedLines,
    RawFrame,
    element,
    ends_early,
    numbered_lines,
    of_type,
    types_example,
)

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

BOX, ATOMS, COUNT, UNITS = "BOX BOUNDS", "ATOMS", "NUMBER OF ATOMS", "UNITS"
POSITIONS = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
SAME_MASS = 0.05  # u; a mass names the only element that is as near


class Item(NamedTuple):
    """One section of a frame.

    Attributes:
        words: what stands behind its name.
        lines: its lines.
        start: number of the first of them.
    """

    words: list[str]
    lines: list[str]
    start: int


def iterate_dump(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """Read the frames of a dump, atoms in the order of their ids.

    Args:
        path: the file.
        types: elements of the types 1, 2, ...

    Raises:
        CryinGANError: the file cannot be read.
    """
    units = None
    with numbered_lines(path) as lines:
        for number in itertools.count(1):
            where = f"{path}, frame {number}"
            lines.skip_blank()
            if not lines.peek():
                return
            items = read_items(lines)
            units = items[UNITS].lines[0].strip() if UNITS in items and items[UNITS].lines else units
            try:
                outcome = parse_frame(items, where, types, units or "metal")
                if number == 1:
                    say_what_is_assumed(items, path, types)
            except CryinGANError as error:
                outcome = error
            yield RawFrame(outcome, where, lines.share, {})


def read_items(lines: NumberedLines) -> dict[str, Item]:
    """The sections of a frame by name; a name that was there, or any behind the atoms, begins another frame."""
    items: dict[str, Item] = {}
    while head := lines.peek():
        known = head[0].removeprefix("ITEM:").strip()
        name = next((name for name in (BOX, ATOMS, COUNT, UNITS) if known.startswith(name)), known)
        if items and (name in items or ATOMS in items or not head[0].startswith("ITEM:")):
            break
        lines.read()
        start, content = lines.number, []
        while (line := lines.peek()) and not line[0].startswith("ITEM:"):
            content += lines.read()
        items[name] = Item(known.removeprefix(name).split(), [line for line in content if line.strip()], start)
    return items


def parse_frame(items: Mapping[str, Item], where: str, types: Sequence[str], units: str) -> Atoms:
    """The structure of a frame.

    Args:
        items: its sections.
        where: file and frame, for messages.
        types: elements of the types 1, 2, ...
        units: LAMMPS's name of the units.

    Raises:
        CryinGANError: it is cut, or cannot be read, or gives no elements.
    """
    from ase import Atoms
    from ase.calculators.lammps import convert

    for name, wanted in ((COUNT, 1), (BOX, 3), (ATOMS, 0)):
        if name not in items or len(items[name].lines) < wanted:
            raise CryinGANError(f"{where} ends early: ITEM: {name} is missing or cut")
    columns = read_columns(items, where)
    cell, origin, pbc = read_box(items[BOX], where)
    names = next((names for names in POSITIONS if set(names) <= set(columns)), None)
    if names is None:
        raise CryinGANError(f"{where}: ITEM: ATOMS has no columns x y z, xu yu zu, xs ys zs or xsu ysu zsu")
    positions = np.column_stack([as_numbers(columns, name, items[ATOMS], where) for name in names])
    if "s" in names[0]:
        positions = origin + positions @ cell
    try:
        cell, positions = convert(cell, "distance", units, "ASE"), convert(positions, "distance", units, "ASE")
    except (KeyError, ValueError) as error:
        raise CryinGANError(f"{where}: units {shortened(units)} are no lengths; write metal or real units") from error
    symbols = read_elements(columns, items[ATOMS], where, types)
    return Atoms(symbols, positions=positions, cell=cell, pbc=pbc)[by_id(columns, items[ATOMS], where)]


def read_columns(items: Mapping[str, Item], where: str) -> dict[str, list[str]]:
    """The columns of the atoms, as text."""
    item, count = items[ATOMS], items[COUNT].lines[0].strip()
    if not count.isdecimal() or not 1 <= int(count[:9]) <= MAX_ATOMS or len(count) > len(str(MAX_ATOMS)):
        raise CryinGANError(f"{where}: a frame has 1 to {MAX_ATOMS:,} atoms, not {shortened(count)}")
    rows = [line.split() for line in item.lines]
    for atom, row in enumerate(rows, start=1):
        if len(row) != len(item.words):
            last = atom == len(rows) and not item.lines[-1].endswith("\n")
            if last and len(row) < len(item.words):
                raise ends_early(where, int(count), atom - 1)
            place = f"{where}, atom {atom} (line {item.start + atom - 1})"
            raise CryinGANError(f"{place}: {len(item.words)} columns promised, {len(row)} found")
    if len(rows) != int(count):
        if len(rows) < int(count):
            raise ends_early(where, int(count), len(rows))
        raise CryinGANError(f"{where}: {count} atoms promised, {len(rows)} found")
    return dict(zip(item.words, map(list, zip(*rows, strict=True)), strict=True))


def as_numbers(columns: Mapping[str, list[str]], name: str, item: Item, where: str) -> np.ndarray:
    """A column as numbers, shape (atoms,)."""
    found = []
    for atom, word in enumerate(columns[name], start=1):
        try:
            found.append(float(word))
        except ValueError:
            place = f"{where}, atom {atom} (line {item.start + atom - 1})"
            raise CryinGANError(f"{place}: {shortened(word)} in column {name} is no number") from None
    return np.array(found)


def read_box(item: Item, where: str) -> tuple[np.ndarray, np.ndarray, list[bool]]:
    """Lattice vectors in rows, origin, and along which vectors the box is periodic."""
    from ase.io.lammpsrun import construct_cell

    boundaries = [word for word in item.words if set(word) <= set("pfsm") and len(word) == 2]
    pbc = [word == "pp" for word in boundaries] if len(boundaries) == 3 else [True] * 3
    try:
        box = np.array([[float(word) for word in line.split()] for line in item.lines[:3]])
        if item.words[:1] == ["abc"]:
            return box[:, :3], box[:, 3], pbc
        tilts = box[:, 2] if box.shape[1] > 2 else np.zeros(3)
        return *construct_cell(box[:, :2].ravel(), tilts), pbc
    except (ValueError, IndexError) as error:
        lines = f"lines {item.start} to {item.start + 2}"
        raise CryinGANError(f"{where}, {lines}: not the bounds of a box: {shortened(' '.join(item.lines))}") from error


def read_elements(columns: Mapping[str, list[str]], item: Item, where: str, types: Sequence[str]) -> list[str]:
    """The element of every atom.

    Raises:
        CryinGANError: they are unknown; names the column.
    """
    kinds = as_numbers(columns, "type", item, where) if "type" in columns else np.zeros(0)
    if types and len(kinds):
        return [of_type(int(kind), types, f"{where}, atom {atom}") for atom, kind in enumerate(kinds, start=1)]
    if "element" in columns:
        names = columns["element"]
        if set(names) == {"C"} and len(set(kinds)) > 1:
            raise CryinGANError(
                f"{where}: column element is C, LAMMPS's default, for {len(set(kinds))} types; {no_elements(kinds)}"
            )
        for name in set(names) - set(of_numbers(names)):
            element(name, f"{where}, atom {names.index(name) + 1}, column element")
        if not (numeric := of_numbers(names)):
            return names
        raise CryinGANError(f"{where}: column element holds numbers, such as {numeric[0]}; {no_elements(kinds)}")
    if "mass" in columns:
        return [of_mass(mass, where, kinds) for mass in as_numbers(columns, "mass", item, where)]
    if not len(kinds):
        raise CryinGANError(f"{where}: ITEM: ATOMS has no column element; {no_elements(kinds)}")
    raise CryinGANError(f"{where}: column type holds numbers, no elements; {no_elements(kinds)}")


def no_elements(kinds: np.ndarray) -> str:
    """What helps where a dump names no elements, for the types of its atoms."""
    given = types_example(int(kinds.max()) if len(kinds) and np.isfinite(kinds).all() else 2)
    return f"LAMMPS's `dump_modify ID element Li Cl` writes elements, or give {given}"


def of_numbers(names: Sequence[str]) -> list[str]:
    """Those words that are numbers."""
    return [name for name in names if name.isdecimal()]


def of_mass(mass: float, where: str, kinds: np.ndarray) -> str:
    """The only element of a mass (u)."""
    from ase.data import atomic_masses, chemical_symbols

    masses = zip(chemical_symbols, atomic_masses, strict=True)
    near = [symbol for symbol, known in masses if abs(known - mass) <= SAME_MASS and symbol != "X"]
    if len(near) != 1:
        found = " and ".join(near) or "no element"
        raise CryinGANError(f"{where}: column mass: {mass:g} is the mass of {found}; {no_elements(kinds)}")
    return near[0]


def by_id(columns: Mapping[str, list[str]], item: Item, where: str) -> np.ndarray:
    """Permutation that sorts the atoms by id, shape (atoms,)."""
    if "id" not in columns:
        return np.arange(len(item.lines))
    ids = as_numbers(columns, "id", item, where)
    order = np.argsort(ids, kind="stable")
    if len(same := np.flatnonzero(np.diff(ids[order]) == 0)):
        raise CryinGANError(f"{where}: two atoms have the id {ids[order][same[0]]:g}")
    return order


def say_what_is_assumed(items: Mapping[str, Item], path: Path, types: Sequence[str]) -> None:
    """Log what a dump leaves open."""
    words = items[ATOMS].words
    if "id" not in words:
        log.warning("%s has no column id: its atoms are taken to have one order in all frames", path)
    if "element" not in words and "mass" in words and not types:
        log.info("%s has no column element: elements are taken from the column mass", path)
    if types and {"type", "element"} <= set(words):
        rows = (line.split() for line in items[ATOMS].lines)
        pairs = sorted({(int(float(row[words.index("type")])), row[words.index("element")]) for row in rows})
        named = [symbol for _, symbol in pairs]
        if named != [types[kind - 1] for kind, _ in pairs] and set(named) != {"C"}:  # LAMMPS's default
            log.warning("%s: column element names %s; types=[%s] holds", path, " ".join(named), ",".join(types))
    if not any(set(word) <= set("pfsm") for word in items[BOX].words):
        log.info("%s gives no boundaries: taken as periodic", path)
