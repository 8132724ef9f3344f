"""Frames as readers hand them on, and the lines of a text file that they are cut from."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TextIO

from cryingan.errors import CryinGANError
from cryingan.storage.text import open_text, shortened

if TYPE_CHECKING:
    from ase import Atoms

# A larger count is a typing error, and ASE would allocate memory for all these atoms before it looks at the file.
MAX_ATOMS = 1_000_000


class RawFrame(NamedTuple):
    """One frame of a file, unchecked, or why it cannot be read.

    Attributes:
        outcome: the structure, or the error of reading it.
        where: file and frame, for messages.
        share: the part of the file that has been read, with what was read ahead, 0 to 1; None where it is unknown.
        info: all keys that the frame gives besides the atoms.
    """

    outcome: Atoms | CryinGANError
    where: str
    share: float | None
    info: Mapping[str, Any]


def is_isolated_atom(frame: RawFrame) -> bool:
    """Whether a frame is one atom without a periodic cell, or called so: a reference energy, no crystal."""
    atoms = frame.outcome
    if isinstance(atoms, CryinGANError) or len(atoms) != 1:
        return False
    given = str({**atoms.info, **frame.info}.get("config_type", "")).lower().replace("_", "")
    return not atoms.pbc.any() or atoms.cell.rank < 3 or given == "isolatedatom"


class NumberedLines:
    """Lines of a text file, with a look ahead.

    Attributes:
        number: of the line that `read` returns next, from 1.
    """

    def __init__(self, file: TextIO, raw: BinaryIO, size: int) -> None:
        self.number = 1
        self._file, self._raw, self._size = file, raw, size
        self._ahead: deque[str] = deque()

    def peek(self, count: int = 1) -> list[str]:
        """The next lines, fewer than `count` at the end of the file."""
        self._ahead.extend(itertools.islice(self._file, max(count - len(self._ahead), 0)))
        return list(itertools.islice(self._ahead, count))

    def read(self, count: int = 1) -> list[str]:
        """The next lines, and move on."""
        lines = self.peek(count)
        for _ in lines:
            self._ahead.popleft()
        self.number += len(lines)
        return lines

    def put_back(self, lines: Sequence[str]) -> None:
        """Return lines that were read last."""
        self._ahead.extendleft(reversed(lines))
        self.number -= len(lines)

    def skip_blank(self) -> bool:
        """Move on to the next line that is not blank; whether it needed to."""
        start = self.number
        while (line := self.peek()) and not line[0].strip():
            self.read()
        return self.number > start

    @property
    def share(self) -> float:
        """The part of the file that has been read, 0 to 1."""
        return self._raw.tell() / self._size


@contextmanager
def numbered_lines(path: Path) -> Iterator[NumberedLines]:
    """Open a text file of any line ends, compressed or not.

    Raises:
        CryinGANError: it cannot be read.
    """
    size = max(path.stat().st_size, 1)
    with open_text(path) as (file, raw):
        yield NumberedLines(file, raw, size)


def ends_early(where: str, promised: int, found: int) -> CryinGANError:
    """The error of a frame with too few atoms."""
    return CryinGANError(f"{where} ends early: {promised} atoms promised, {found} found")


def cut_within_number(rows: Sequence[str], columns: slice = slice(None)) -> bool:
    """Whether a file ends within the last number of its last row.

    Writers end every line and, mostly, give all coordinates as many decimals.

    Args:
        rows: the rows of a frame.
        columns: the columns of coordinates.
    """
    if len(rows) < 2 or rows[-1].endswith("\n"):
        return False
    decimals = [len(word.partition(".")[2]) for row in rows for word in row.split()[columns]]
    return len(set(decimals[:-1])) == 1 and decimals[-1] < decimals[0]


def element(word: str, where: str) -> str:
    """A chemical symbol.

    Raises:
        CryinGANError: it is none.
    """
    from ase.data import atomic_numbers

    if not atomic_numbers.get(word):
        raise CryinGANError(f"{where}: unknown element {shortened(word)}")
    return word


def types_example(count: int = 2) -> str:
    """The key `types` as it is typed for so many types; the elements are examples."""
    examples = ("Li", "Cl", "O", "S", "P", "Na")
    return f"types=[{','.join(examples[:count])}{',...' if count > len(examples) else ''}]"


def of_type(number: int, types: Sequence[str], where: str) -> str:
    """The element of a type, from 1.

    Raises:
        CryinGANError: `types` does not name it.
    """
    if not 1 <= number <= len(types):
        raise CryinGANError(f"{where} has type {number}, but types=[{','.join(types)}] names {len(types)}")
    return types[number - 1]


def check_types(types: Sequence[str]) -> None:
    """Refuse `types` that are no elements."""
    for number, word in enumerate(types, start=1):
        element(word, f"types=[{','.join(types)}], type {number}")
