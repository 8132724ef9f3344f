"""The files of a folder of relaxations, written as structures end, so that a killed run loses none of them."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.one_structure import REASONS, Relaxed
from cryingan.relaxation.settings import RelaxSettings
from cryingan.relaxation.trajectory import write_frames
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.storage.hashes import arrays_hash
from cryingan.structures.crystals import Crystals

RELAX_MANIFEST, ROWS, RELAXED = "relax.json", "relax.csv", "relaxed.extxyz"
COLUMNS = {
    "sample": int,
    "energy_initial": float,
    "energy_final": float,
    "steps": int,
    "evaluations": int,
    "fmax": float,
    "converged": bool,
    "reason": str,
}
HEADER = ",".join((*COLUMNS, "potential")).encode() + b"\n"
SAMPLE = re.compile(rb"\bsample=(\d+)\b")


class Entry(NamedTuple):
    """A relaxation as the files have it: a row of relax.csv and a frame of relaxed.extxyz."""

    row: bytes
    frame: bytes

    @property
    def unfinished(self) -> bool:
        """Whether time was up before the relaxation ended."""
        return _fields(self.row)["reason"] == "time"

    def relaxed(self) -> Relaxed:
        """The result that was written."""
        from ase.io.extxyz import read_xyz

        atoms = next(read_xyz(io.StringIO(self.frame.decode()), 0))
        fields = _fields(self.row)
        values = {name: kind(fields[name]) for name, kind in COLUMNS.items() if name != "converged"}
        return Relaxed(positions=atoms.positions, **values)


class Journal:
    """The folder of a set of relaxations: `relax.json` (of what), `relax.csv` (rows), `relaxed.extxyz` (frames).

    A sample is finished when both its row and its frame are whole. They are appended, so that a kill at any moment
    leaves at most a torn end, which `open` removes.

    Args:
        folder: where.
        crystals: the structures before relaxation.
        card: the potential.

    Attributes:
        finished: sample numbers that need no more work.
    """

    def __init__(self, folder: str | Path, crystals: Crystals, card: PotentialCard) -> None:
        self.folder = Path(folder)
        self.cell, self.species = crystals.cell, crystals.species
        self.potential = f"{card.name}:{card.hash[:12]}".replace(",", ";")
        self.finished: set[int] = set()

    @classmethod
    def open(
        cls,
        folder: str | Path,
        crystals: Crystals,
        numbers: Sequence[int],
        card: PotentialCard,
        settings: RelaxSettings,
        source: str | None = None,
    ) -> Journal:
        """The journal of a folder, which is made when missing, ready for the samples that are not finished.

        Torn ends are removed, and samples that ended for lack of time, which are unfinished.

        Args:
            folder: where.
            crystals: the structures before relaxation.
            numbers: their sample numbers, shape (structures,).
            card: the potential.
            settings: how they are relaxed.
            source: what the structures are; the SHA-256 of their coordinates when None.

        Raises:
            OtherResultsError: the folder holds relaxations of other structures, potential or settings.
            CryinGANError: the folder cannot be written.
        """
        journal = cls(make_folder(folder), crystals, card)
        source = source or arrays_hash(crystals.cell, crystals.fractional)
        manifest = {
            "structures": structures_identity(crystals.species, numbers, source),
            "potential": {"name": card.name, "hash": card.hash},
            "settings": settings.protocol,
        }
        try:
            _claim(journal.folder, manifest)
            ended = {sample: entry for sample, entry in journal._entries().items() if not entry.unfinished}
            journal._write(ended)
        except OSError as error:
            raise CryinGANError(f"{folder} cannot hold results: {error.strerror or error}") from error
        journal.finished = set(ended)
        return journal

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
        entries = self._entries()
        self._write(entries)
        return [entry.relaxed() for entry in entries.values()]

    def _entries(self) -> dict[int, Entry]:
        return _whole_entries(self.folder, len(self.species))

    def _write(self, entries: Mapping[int, Entry]) -> None:
        with replace_file(self.folder / RELAXED) as file:
            file.writelines(entry.frame for entry in entries.values())
        with replace_file(self.folder / ROWS) as file:
            file.writelines([HEADER, *(entry.row for entry in entries.values())])

    def _row(self, relaxed: Relaxed) -> bytes:
        values = [getattr(relaxed, name) for name in COLUMNS]
        return ",".join([*map(str, values), self.potential]).encode() + b"\n"

    def _frame(self, relaxed: Relaxed) -> bytes:
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.io import write

        atoms = Atoms(self.species, positions=relaxed.positions, cell=self.cell, pbc=True)
        [atoms] = Crystals.from_ase([atoms]).to_ase()
        kept = ("sample", "steps", "fmax", "converged", "reason")
        atoms.info = {**{name: getattr(relaxed, name) for name in kept}, "potential": self.potential}
        if np.isfinite(relaxed.energy_final):
            atoms.calc = SinglePointCalculator(atoms, energy=relaxed.energy_final)
        text = io.StringIO()
        write(text, atoms, format="extxyz")
        return text.getvalue().encode()


def read_journal(folder: str | Path, atoms: int) -> list[Relaxed]:
    """What has ended in a folder so far, sorted by sample number; another process may be adding to it.

    Args:
        folder: of a `Journal`.
        atoms: how many a structure has.
    """
    return [entry.relaxed() for entry in _whole_entries(Path(folder), atoms).values()]


def structures_identity(species: Sequence[str], numbers: Sequence[int], source: str) -> dict[str, str]:
    """What identifies structures, in plain values.

    Args:
        species: chemical symbols of each structure.
        numbers: sample number of each structure.
        source: what they are, such as the SHA-256 of the file that they come from.
    """
    return {"kind": kind_hash(species, numbers), "source": source}


def kind_hash(species: Sequence[str], numbers: Sequence[int]) -> str:
    """SHA-256 of the species in their order, how many structures there are, and their numbers."""
    numbers = np.asarray(numbers, dtype=int).tolist()
    return hashlib.sha256(json.dumps([list(species), len(numbers), numbers]).encode()).hexdigest()


def same_identity(folder: Path, wanted: Mapping[str, str]) -> bool:
    """Whether the relaxations in a folder are of certain structures.

    Args:
        folder: of a `Journal`.
        wanted: their `structures_identity`.
    """
    return _same_structures(json.loads((folder / RELAX_MANIFEST).read_bytes()).get("structures"), wanted)


def _claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, or refuse a folder that has another one."""
    path = folder / RELAX_MANIFEST
    if not path.exists() and (folder / ROWS).exists():
        raise OtherResultsError(f"{folder} holds {ROWS} but no {RELAX_MANIFEST}: give an empty folder")
    if not path.exists():
        with replace_file(path) as file:
            file.write(json.dumps(manifest, indent=1).encode() + b"\n")
    elif difference := _first_difference(json.loads(path.read_bytes()), manifest):
        raise OtherResultsError(f"{folder} holds relaxations with other {difference}: give an empty folder")


def _first_difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """What a manifest has other than it should; None where nothing differs."""
    if not _same_structures(found.get("structures"), wanted["structures"]):
        return "structures"
    for part in ("potential", "settings"):
        values = found.get(part, {})
        if part == "settings":  # earlier versions left out the defaults of FIRE
            values = RelaxSettings.from_mapping(values).protocol
        for key in [*wanted[part], *values]:
            if values.get(key) != wanted[part].get(key):
                return f"{part} ({key} is {values.get(key)}, here {wanted[part].get(key)})"
    return None


def _same_structures(found: Any, wanted: Mapping[str, str]) -> bool:
    """Whether identities agree; those of earlier versions hold no `source`."""
    if not isinstance(found, dict):
        return False
    return found.get("kind") == wanted["kind"] and found.get("source", wanted["source"]) == wanted["source"]


def _whole_entries(folder: Path, atoms: int) -> dict[int, Entry]:
    """What is whole in both files, by sample number and sorted by it."""
    rows, frames = (
        path.read_bytes().splitlines(keepends=True) if path.exists() else []
        for path in (folder / ROWS, folder / RELAXED)
    )
    whole_rows = {int(fields["sample"]): row for row in rows if (fields := _fields(row)) is not None}
    whole_frames = {}
    for first in range(0, len(frames), atoms + 2):
        frame = frames[first : first + atoms + 2]
        if len(frame) == atoms + 2 and frame[-1].endswith(b"\n"):
            whole_frames[int(SAMPLE.search(frame[1])[1])] = b"".join(frame)
    samples = sorted(whole_rows.keys() & whole_frames.keys())
    return {sample: Entry(whole_rows[sample], whole_frames[sample]) for sample in samples}


def _fields(row: bytes) -> dict[str, str] | None:
    """The fields of a row by name; None of the header and of a row that is torn."""
    values = row.decode(errors="replace").split(",")
    if not row.endswith(b"\n") or len(values) != len(COLUMNS) + 1:
        return None
    fields = dict(zip(COLUMNS, values, strict=False))
    return fields if fields["reason"] in REASONS else None
