"""The structures that are scored, of any origin: what is wrong with one of them is said of it and stops nothing."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryingan.errors import CryinGANError
from cryingan.storage.hashes import file_hash
from cryingan.structures.checks import checked
from cryingan.structures.extxyz import cut_extxyz, parse_extxyz, whole_comment
from cryingan.structures.formats import iterate_frames, recognise

if TYPE_CHECKING:
    from ase import Atoms

STRUCTURE_FILE = re.compile(r"[^.].*\.(cif|vasp|poscar|(ext)?xyz)(\.(gz|bz2|xz))?|(POSCAR|CONTCAR)[^/]*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Frame:
    """One structure of a file, a folder or a list.

    Attributes:
        number: its place, from 1.
        name: the file that it stands in, in a folder; empty otherwise.
        atoms: periodic in all directions; None where the structure cannot be right.
        reason: why it has failed; empty otherwise.
        info: what the file says of it besides, such as `sample` and `converged`.
    """

    number: int
    name: str
    atoms: Atoms | None
    reason: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def composition(self) -> dict[str, int]:
        """Atoms per species, sorted by symbol; none where there are no atoms."""
        symbols = self.atoms.get_chemical_symbols() if self.atoms is not None else ()
        return dict(sorted(Counter(symbols).items()))

    @property
    def sample(self) -> int | None:
        """Its number in sampling, from 0; None where there is none, or other programs mean something else by it."""
        sample = self.info.get("sample")
        whole = isinstance(sample, Integral) and not isinstance(sample, bool)
        return int(sample) if whole and sample >= 0 else None


def formula(composition: Mapping[str, int]) -> str:
    """A composition such as Cl72Li72, in the order given."""
    return "".join(f"{symbol}{count}" for symbol, count in composition.items())


def source_hash(source: str | Path | Sequence[Atoms]) -> str:
    """SHA-256 of what structures are read from: a file's content, the names and contents of a folder's, or the atoms.

    Raises:
        CryinGANError: there is no such file, or nothing in the folder.
    """
    if not isinstance(source, str | Path):
        digest = hashlib.sha256()
        for atoms in source:
            for array in (atoms.numbers.astype("int64"), atoms.cell.array, atoms.positions, atoms.pbc):
                digest.update(array.tobytes())
        return digest.hexdigest()
    path = Path(source)
    if path.is_dir():
        lines = [f"{file_hash(file)}  {file.name}\n" for file in structure_files(path)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    return file_hash(path)


def structure_files(path: Path) -> list[Path]:
    """A file as it is; of a folder the CIF, POSCAR and extended XYZ files, 9.cif before 10.cif.

    Raises:
        CryinGANError: it is not there, or the folder holds none.
    """
    if not path.exists():
        raise CryinGANError(f"{path} is not there; give a file or a folder of structures")
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if STRUCTURE_FILE.fullmatch(file.name) and file.is_file()]
    if not files:
        raise CryinGANError(f"{path} holds no structures: no *.cif, *.vasp, POSCAR* or *.xyz")
    parts = re.compile(r"(\d+)")
    return sorted(files, key=lambda file: [(int(p), "") if p.isdecimal() else (0, p) for p in parts.split(file.name)])


def read_frames(source: str | Path | Sequence[Atoms]) -> Iterator[Frame]:
    """Every structure of a file in any format that ASE reads, of a folder of such files, or of a list.

    Atoms that are close or coincide are let pass. A structure that our own files mark as unrelaxed has the reason.

    Yields:
        The structures in order; those that cannot be read with `reason` and without atoms.

    Raises:
        CryinGANError: there is nothing to read, or the file cannot be cut into frames.
    """
    if not isinstance(source, str | Path):
        for number, atoms in enumerate(source, 1):
            yield _frame(number, "", atoms, atoms.info)
        return
    path = Path(source)
    files, number = structure_files(path), 0
    for file in files:
        name, before = file.name if path.is_dir() else "", number
        try:
            for atoms, broken, info in _read(file):
                number += 1
                yield (
                    _frame(number, name, atoms, info) if atoms is not None else Frame(number, name, None, broken, info)
                )
        except CryinGANError as error:
            if not path.is_dir():
                raise
            number += 1
            yield Frame(number, name, None, _without_place(str(error), str(file)))
        if number == before and path.is_dir():
            number += 1
            yield Frame(number, name, None, "holds no structure")


def _read(path: Path) -> Iterator[tuple[Atoms | None, str, Mapping[str, Any]]]:
    """Atoms, or why there are none, and what else the file says of each frame."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ASE's parsers; what matters is checked
        if recognise(path) not in ("extxyz", "xyz"):
            for atoms, _ in iterate_frames(path):
                yield atoms, "", {}
            return
        for frame in cut_extxyz(path):
            try:
                atoms = parse_extxyz(frame.lines, whole_comment(frame), frame.where, frame.line_number + 1)
            except CryinGANError as error:
                yield None, _without_place(str(error), frame.where), _info(frame.lines)
            else:
                yield atoms, "", _info(frame.lines)


def _info(lines: Sequence[str]) -> dict[str, Any]:
    """The keys of an extended XYZ comment, the first of the lines."""
    from ase.io.extxyz import key_val_str_to_dict

    with suppress(Exception):  # whatever else stands there
        return key_val_str_to_dict(lines[0])
    return {}


def _frame(number: int, name: str, atoms: Atoms, info: Mapping[str, Any]) -> Frame:
    from ase import Atoms

    try:
        frame = checked(atoms, "", closest=0)
    except CryinGANError as error:
        return Frame(number, name, None, _without_place(str(error), ""), info)
    if info.get("converged") in (False, "False", "F"):
        return Frame(number, name, None, f"not relaxed: {info.get('reason', 'unconverged')}", info)
    clean = Atoms(frame.numbers, scaled_positions=frame.fractional, cell=frame.cell, pbc=True)
    return Frame(number, name, clean, info=info)


def _without_place(message: str, place: str) -> str:
    return message.removeprefix(place).lstrip(",: ")
