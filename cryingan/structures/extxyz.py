"""Extended XYZ files, frame by frame. Errors are one line naming file, frame and line."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line, shortened
from cryingan.structures.frames import (
    MAX_ATOMS,
    RawFrame,
    cut_within_number,
    ends_early,
    numbered_lines,
    of_type,
    types_example,
)

if TYPE_CHECKING:
    from ase import Atoms

# ASE refuses a stress of six components under these names, and takes it under any other.
TENSOR, ANY_LENGTH = re.compile(r"\b(stress|virial)(\s*=)"), "__of_any_length"
PLAIN = "species:S:1:pos:R:3"
KEYS = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}  # read in any case, as GPUMD does


def iterate_extxyz(path: Path, types: Sequence[str] = ()) -> Iterator[RawFrame]:
    """Read an extended XYZ file, cut into frames by their numbers of atoms.

    ASE's own search for frames stops silently at a blank line, believes any atom count, and does not name the frame
    that it cannot read.

    Args:
        path: the file.
        types: elements of the numbers 1, 2, ... in the place of species.

    Raises:
        CryinGANError: the file cannot be read, or no number of atoms stands where a frame begins.
    """
    with numbered_lines(path) as lines:
        for number in itertools.count(1):
            lines.skip_blank()
            if not (header := lines.read()):
                return
            where = f"{path}, frame {number}"
            line = lines.number
            count = atom_count(header[0], f"{where}, line {line - 1}")
            frame = lines.read(count + 1)
            info: dict[str, Any] = {}
            try:
                info = read_comment(frame[0] if frame else "", f"{where}, line {line}")
                if len(frame) <= count:
                    raise ends_early(where, count, max(len(frame) - 1, 0))
                outcome = parse_frame(frame, info, where, line, types)
            except CryinGANError as error:
                outcome = error
                if next_frame := start_of_frame(frame):
                    lines.put_back(frame[next_frame:])
                    outcome = ends_early(where, count, next_frame - 1)
            yield RawFrame(outcome, where, lines.share, info)


def start_of_frame(frame: list[str]) -> int:
    """Where another frame begins within the lines of a broken one, which was cut off; 0 if none does."""
    for place, (count, comment) in enumerate(itertools.pairwise(frame[1:]), start=1):
        if count.strip().isdecimal() and "lattice" in comment.lower():
            return place
    return 0


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
    """Keys and values from the second line of a frame, as ASE reads them; `Lattice` and the like in any case."""
    from ase.io.extxyz import key_val_str_to_dict

    renamed = TENSOR.sub(rf"\1{ANY_LENGTH}\2", line)
    try:
        found = key_val_str_to_dict(renamed) if line.strip() else {}
        info = {key.removesuffix(ANY_LENGTH): value for key, value in found.items()}
    except Exception as error:  # ASE raises whatever the text leads it to
        raise CryinGANError(f"{where}: {in_one_line(error)}") from error
    for key in [key for key in info if key.lower() in KEYS and KEYS[key.lower()] not in info]:
        if info[key] is not True or key.lower() == "pbc":  # a word without a value
            info[KEYS[key.lower()]] = info.pop(key)
    if "Lattice" in info and np.shape(info["Lattice"]) != (3, 3):  # ASE knows it in this spelling only
        if np.shape(info["Lattice"]) != (9,):
            raise CryinGANError(f"{where}: Lattice should hold nine numbers, not {shortened(str(info['Lattice']))}")
        info["Lattice"] = info["Lattice"].reshape((3, 3), order="F")
    if "Properties" in info:
        info["Properties"] = in_usual_case(str(info["Properties"]))
    return info


def in_usual_case(properties: str) -> str:
    """The value of Properties with the names and letters that ASE knows.

    >>> in_usual_case("Species:s:1:POS:r:3:Charge:R:1")
    'species:S:1:pos:R:3:Charge:R:1'
    """
    fields = properties.split(":")
    fields[::3] = [name.lower() if name.lower() in ("species", "pos", "move_mask") else name for name in fields[::3]]
    fields[1::3] = [letter.upper() for letter in fields[1::3]]
    return ":".join(fields)


def species_column(properties: str) -> int | None:
    """The column of species, from 0; None where there is none."""
    fields = properties.split(":")
    if "species" not in fields[::3]:
        return None
    return sum(map(int, fields[2 : 3 * fields[::3].index("species") : 3]))


def highest_type(lines: list[str], properties: str) -> int:
    """The highest of the numbers in the place of species, 1 without any."""
    column = species_column(properties)
    words = (line.split()[column : column + 1] for line in lines[1:]) if column is not None else ()
    return max([1, *(int(word) for [word] in filter(None, words) if word.isdecimal())])


def named_types(lines: list[str], properties: str, types: Sequence[str], where: str) -> list[str]:
    """Put elements in the place of types 1, 2, ... in the column of species.

    Args:
        lines: the comment and one line per atom.
        properties: value of the key Properties.
        types: the element of each type.
        where: file and frame, for messages.

    Raises:
        CryinGANError: a type has no element.
    """
    if (column := species_column(properties)) is None:
        return lines
    named = lines[:1]
    for atom, line in enumerate(lines[1:], start=1):
        words = line.split()
        if column < len(words) and words[column].isdecimal():
            words[column] = of_type(int(words[column]), types, f"{where}, atom {atom}")
        named.append(" ".join(words) + "\n")
    return named


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


def parse_frame(lines: list[str], info: Mapping[str, Any], where: str, line: int, types: Sequence[str] = ()) -> Atoms:
    """Parse a frame by ASE: lattice, boundary conditions, species and positions.

    Args:
        lines: the comment and one line per atom.
        info: keys and values of the comment.
        where: file and frame, for messages.
        line: number of the comment in the file, from 1.
        types: elements of the numbers 1, 2, ... in the place of species.

    Raises:
        CryinGANError: names the first line that ASE cannot read.
    """
    from ase.io.extxyz import read_xyz

    comment = {key: info[key] for key in ("Lattice", "Properties", "pbc") if key in info}
    properties = comment.get("Properties", PLAIN)
    check_columns(properties, f"{where}, line {line}")
    if types:
        lines = named_types(lines, properties, types, where)

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
        atoms = parse(len(lines) - 1)
    except Exception:
        # ASE reads the first n atoms exactly when none of their lines is broken: bisection finds the first broken one.
        atom = bisect_left(range(len(lines) - 1), True, key=lambda atoms: fault(atoms) is not None)
        error = fault(atom)
        place = f"{where}, atom {atom} (line {line + atom})" if atom else f"{where}, line {line}"
        raise CryinGANError(
            f"{place}: {explain(error)} in {shortened(lines[atom])}{hint(error, highest_type(lines, properties))}"
        ) from error
    if properties == PLAIN and cut_within_number(lines[1:], slice(1, 4)):
        raise CryinGANError(f"{where} ends early: within the last number, {shortened(lines[-1])}")
    return atoms


def explain(error: Exception) -> str:
    """ASE's error in a user's words."""
    if isinstance(error, KeyError):
        return f"unknown element {error}"
    if "tuple of length" in str(error):
        return "too few columns"
    return in_one_line(error)


def hint(error: Exception, kinds: int) -> str:
    """How a user can mend ASE's error, where that is not plain from it."""
    of_type = isinstance(error, KeyError) and str(error).strip("'").isdecimal()
    return f"; {types_example(kinds)} names the elements of types" if of_type else ""
