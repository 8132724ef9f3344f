"""The files of a folder of relaxations, written as structures end, so that a killed run loses no result."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.one_structure import COLUMNS, REASONS, Relaxed
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.trajectory import write_frames
from cryingan.storage.atomic import make_folder, replace_file, write_json
from cryingan.storage.hashes import arrays_hash
from cryingan.structures.contacts import contact_text, contacts
from cryingan.structures.crystals import Crystals

RELAX_MANIFEST, ROWS, RELAXED = "relax.json", "relax.csv", "relaxed.extxyz"
HEADER = ",".join((*COLUMNS, "contacts", "potential")).encode() + b"\n"
SAMPLE = re.compile(rb"\bsample=(\d+)\b")


class Journal:
    """A folder of relaxations: `relax.json` (of what), `relax.csv` (rows) and `relaxed.extxyz` (frames).

    A sample is finished when both its row and its frame are whole. They are appended, so that a kill at any moment
    leaves at most a torn end, which is removed here, as are samples that ran out of time.

    Args:
        folder: where the files are; it is made when missing.
        crystals: the structures before relaxation.
        numbers: their sample numbers, shape (structures,).
        card: card of the potential.
        settings: how they are relaxed.
        source: what the structures are; their `coordinates_hash` when None.

    Attributes:
        finished: sample numbers that need no more work.

    Raises:
        OtherResultsError: the folder holds relaxations of other structures, potential or settings.
        CryinGANError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        crystals: Crystals,
        numbers: Sequence[int],
        card: PotentialCard,
        settings: RelaxSettings,
        source: str | None = None,
    ) -> None:
        self.folder, self.cell, self.species = make_folder(folder), crystals.cell, crystals.species
        self.potential = f"{card.name}:{card.hash[:12]}".replace(",", ";")
        self.fixed = {} if crystals.fixed is None else dict(zip(numbers, crystals.fixed, strict=True))
        manifest = {
            "structures": structures_identity(crystals.species, numbers, source or coordinates_hash(crystals)),
            "potential": {"name": card.name, "hash": card.hash},
            "settings": settings.protocol,
        }
        try:
            _claim(self.folder, manifest, lambda: crystals)
            entries = _whole_entries(self.folder, len(self.species))
            ended = {sample: entry for sample, entry in entries.items() if _fields(entry[0])["reason"] != "time"}
            self._write({sample: (self._with_contacts(*entry), entry[1]) for sample, entry in ended.items()})
        except OSError as error:
            raise CryinGANError(f"{folder} cannot hold results: {error.strerror or error}") from error
        self.finished = set(ended)

    def append(self, relaxed: Relaxed) -> None:
        """Add one result."""
        if relaxed.frames is not None:
            write_frames(self.folder, relaxed.sample, relaxed.frames)
        try:
            for name, entry in ((RELAXED, self._frame(relaxed)), (ROWS, self._row(relaxed))):
                with (self.folder / name).open("ab") as file:
                    file.write(entry)
        except OSError as error:
            raise CryinGANError(f"{self.folder / name} cannot be written: {error.strerror or error}") from error

    def finish(self) -> list[Relaxed]:
        """Sort the files by sample number and read them back."""
        entries = _whole_entries(self.folder, len(self.species))
        self._write(entries)
        return [_relaxed(*entry) for entry in entries.values()]

    def _write(self, entries: Mapping[int, tuple[bytes, bytes]]) -> None:
        with replace_file(self.folder / RELAXED) as file:
            file.writelines(frame for _, frame in entries.values())
        with replace_file(self.folder / ROWS) as file:
            file.writelines([HEADER, *(row for row, _ in entries.values())])

    def _row(self, relaxed: Relaxed) -> bytes:
        values = [getattr(relaxed, name) for name in COLUMNS]
        return ",".join([*map(str, values), self._contacts(relaxed), self.potential]).encode() + b"\n"

    def _contacts(self, relaxed: Relaxed) -> str:
        fractional = relaxed.positions @ np.linalg.inv(self.cell)
        return contact_text(*contacts(Crystals(fractional[None], self.cell, self.species)))

    def _with_contacts(self, row: bytes, frame: bytes) -> bytes:
        """A row with its contacts, which earlier versions did not write."""
        return row if row.count(b",") == HEADER.count(b",") else self._row(_relaxed(row, frame))

    def _frame(self, relaxed: Relaxed) -> bytes:
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.io import write

        atoms = Atoms(self.species, positions=relaxed.positions, cell=self.cell, pbc=True)
        fixed = self.fixed.get(relaxed.sample, np.zeros_like(relaxed.positions, dtype=bool))
        [atoms] = replace(Crystals.from_ase([atoms]), fixed=fixed[None]).to_ase()
        kept = ("sample", "steps", "fmax", "converged", "reason")
        atoms.info = {**{name: getattr(relaxed, name) for name in kept}, "potential": self.potential}
        if np.isfinite(relaxed.energy_final):
            atoms.calc = SinglePointCalculator(atoms, energy=relaxed.energy_final)
        text = io.StringIO()
        write(text, atoms, format="extxyz")
        return text.getvalue().encode()


def read_journal(folder: str | Path, atoms: int) -> list[Relaxed]:
    """Read the results in a folder, sorted by sample number; another process may be adding to it.

    Args:
        folder: of a `Journal`.
        atoms: number of atoms of a structure.
    """
    return [_relaxed(*entry) for entry in _whole_entries(Path(folder), atoms).values()]


def coordinates_hash(crystals: Crystals) -> str:
    """SHA-256 of the cell, the coordinates and the fixed atoms of structures, if any are fixed."""
    marks = () if crystals.fixed is None else (crystals.fixed,)
    return arrays_hash(np.round(crystals.cell, 6), np.round(crystals.fractional, 6) % 1.0, *marks)


def structures_identity(species: Sequence[str], numbers: Sequence[int], source: str) -> dict[str, str]:
    """What identifies structures, in plain values.

    Args:
        species: chemical symbols of each structure.
        numbers: sample number of each structure.
        source: what they are, such as the SHA-256 of their file.
    """
    return {"kind": kind_hash(species, numbers), "source": source}


def kind_hash(species: Sequence[str], numbers: Sequence[int]) -> str:
    """SHA-256 of the species in their order, the number of structures and their sample numbers."""
    numbers = np.asarray(numbers, dtype=int).tolist()
    return hashlib.sha256(json.dumps([list(species), len(numbers), numbers]).encode()).hexdigest()


def same_identity(folder: Path, wanted: Mapping[str, str], crystals: Callable[[], Crystals]) -> bool:
    """Whether the relaxations in the folder of a `Journal` are of the structures with this `structures_identity`.

    Args:
        folder: the folder.
        wanted: the identity.
        crystals: gives the structures, for folders of version 0.1.0.
    """
    return _same_structures(json.loads((folder / RELAX_MANIFEST).read_bytes()).get("structures"), wanted, crystals)


def _claim(folder: Path, manifest: dict[str, Any], crystals: Callable[[], Crystals]) -> None:
    """Write the manifest, or refuse a folder that has another one."""
    path = folder / RELAX_MANIFEST
    if path.exists():
        if difference := _first_difference(json.loads(path.read_bytes()), manifest, crystals):
            raise OtherResultsError(f"{folder} holds relaxations with other {difference}: give an empty folder")
        return
    if (folder / ROWS).exists():
        raise OtherResultsError(f"{folder} holds {ROWS} but no {RELAX_MANIFEST}: give an empty folder")
    write_json(path, manifest)


def _first_difference(
    found: Mapping[str, Any], wanted: Mapping[str, Any], crystals: Callable[[], Crystals]
) -> str | None:
    """The first thing in which a manifest differs from the wanted one; None if they agree."""
    if not _same_structures(found.get("structures"), wanted["structures"], crystals):
        return "structures"
    try:
        settings = RelaxSettings.from_mapping(found.get("settings", {})).protocol  # earlier versions left out defaults
    except CryinGANError:  # a later version knows more of them
        return "settings"
    for part, values in (("potential", found.get("potential", {})), ("settings", settings)):
        for key in [*wanted[part], *values]:
            if values.get(key) != wanted[part].get(key):
                return f"{part} ({key} is {values.get(key)}, here {wanted[part].get(key)})"
    return None


def _same_structures(found: Any, wanted: Mapping[str, str], crystals: Callable[[], Crystals]) -> bool:
    """Whether identities agree; those of version 0.1.0 hold `projections` in place of a `source`."""
    if not isinstance(found, dict) or found.get("kind") != wanted["kind"]:
        return False
    if "source" in found:
        return found["source"] == wanted["source"]
    return np.allclose(found.get("projections", np.nan), projections(crystals()), rtol=0, atol=1e-6)


def projections(crystals: Crystals) -> np.ndarray:
    """Four numbers by which version 0.1.0 told structures of one kind apart: random sums over cell and coordinates."""
    random = np.random.default_rng(0)
    total = crystals.cell.ravel() @ (random.random((9, 4)) - 0.5)
    for fractional in crystals.fractional:
        angles = 2 * np.pi * fractional.ravel()
        circles = np.nan_to_num([np.cos(angles), np.sin(angles)], nan=2.0)
        total = total + circles.ravel() @ (random.random((circles.size, 4)) - 0.5)
    return total


def _whole_entries(folder: Path, atoms: int) -> dict[int, tuple[bytes, bytes]]:
    """Row and frame of the samples that are whole in both files, by sample number and sorted by it."""
    rows, lines = (
        path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for path in (folder / ROWS, folder / RELAXED)
    )
    whole = {int(fields["sample"]): row for row in rows if (fields := _fields(row))}
    entries = {}
    for first in range(0, len(lines), atoms + 2):
        frame = b"".join(lines[first : first + atoms + 2])
        if frame.count(b"\n") == atoms + 2 and (sample := int(SAMPLE.search(frame)[1])) in whole:
            entries[sample] = (whole[sample], frame)
    return dict(sorted(entries.items()))


def _fields(row: bytes) -> dict[str, str] | None:
    """The fields of a row by name; None for the header and a torn row."""
    values = row.decode(errors="replace").split(",")
    if not row.endswith(b"\n") or len(values) not in (len(COLUMNS) + 1, len(COLUMNS) + 2):
        return None  # the first of the two: written by an earlier version, without contacts
    fields = dict(zip(COLUMNS, values, strict=False))
    return fields if fields["reason"] in REASONS else None


def _relaxed(row: bytes, frame: bytes) -> Relaxed:
    """The result that a row and a frame were written from."""
    from ase.io.extxyz import read_xyz

    fields = _fields(row)
    values = {
        name: value == "True" if COLUMNS[name] is bool else COLUMNS[name](value) for name, value in fields.items()
    }
    return Relaxed(positions=next(read_xyz(io.StringIO(frame.decode()), 0)).positions, **values)
