"""Relaxations on disk as they end, so that a killed run loses none and goes on with the rest."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.potentials.card import PotentialCard
from cryingan.relaxation.one_structure import REASONS, Relaxed, Settings
from cryingan.relaxation.trajectory import write_frames
from cryingan.storage.atomic import replace_file
from cryingan.structures.crystals import Crystals
from cryingan.structures.identity import kind_hash, projections, same_projections

MANIFEST, ROWS, FRAMES = "relax.json", "relax.csv", "relaxed.extxyz"
COLUMNS = ("sample", "energy_initial", "energy_final", "steps", "evaluations", "fmax", "converged", "reason")
HEADER = ",".join((*COLUMNS, "potential")).encode() + b"\n"
SAMPLE = re.compile(rb"\bsample=(\d+)\b")


class Journal:
    """The folder of a set of relaxations: `relax.json` (of what), `relax.csv` (rows), `relaxed.extxyz` (frames).

    A sample is finished when both its frame and its row are whole. They are appended, so that a kill at any moment
    leaves at most a torn end, which opening the folder again removes. Samples that ended for lack of time are removed
    too: they are unfinished.

    Args:
        folder: made when missing.
        crystals: the structures before relaxation.
        numbers: their sample numbers, shape (structures,).
        card: the potential.
        settings: how they are relaxed.

    Attributes:
        finished: sample numbers that need no more work.

    Raises:
        OtherResultsError: the folder holds relaxations of another input, potential or settings.
        CryinGANError: the folder cannot be written.
    """

    def __init__(
        self, folder: str | Path, crystals: Crystals, numbers: np.ndarray, card: PotentialCard, settings: Settings
    ) -> None:
        self.folder = Path(folder)
        self.cell, self.species = crystals.cell, crystals.species
        self.potential = f"{card.name}:{card.hash[:12]}".replace(",", ";")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._claim(_manifest(crystals, numbers, card, settings))
            rows, frames = self._read()
            unfinished = {sample for sample, row in rows.items() if row.split(b",")[7] == b"time"}
            self._write(sorted((rows.keys() & frames.keys()) - unfinished), rows, frames)
        except OSError as error:
            raise CryinGANError(f"{folder} cannot hold results: {error.strerror or error}") from error
        self.finished = (rows.keys() & frames.keys()) - unfinished

    def append(self, relaxed: Relaxed) -> None:
        """Add one result."""
        if relaxed.frames is not None:
            write_frames(self.folder, relaxed.sample, relaxed.frames)
        try:
            for name, entry in ((FRAMES, self._frame(relaxed)), (ROWS, self._row(relaxed))):
                with (self.folder / name).open("ab") as file:
                    file.write(entry)
        except OSError as error:
            raise CryinGANError(f"{self.folder / name} cannot be written: {error.strerror or error}") from error

    def finish(self) -> list[Relaxed]:
        """Sort the files by sample number and read them back."""
        rows, frames = self._read()
        self._write(sorted(rows.keys() & frames.keys()), rows, frames)
        return _parse_all(rows, frames)

    def _claim(self, manifest: dict) -> None:
        path = self.folder / MANIFEST
        if path.exists():
            found = json.loads(path.read_bytes())
            other = [part for part in manifest if not _same(found.get(part), manifest[part])]
            if other:
                what = _first_difference(other[0], found.get(other[0]), manifest[other[0]])
                raise OtherResultsError(f"{self.folder} holds relaxations with other {what}: give an empty folder")
        elif (self.folder / ROWS).exists():
            raise OtherResultsError(f"{self.folder} holds {ROWS} but no {MANIFEST}: give an empty folder")
        else:
            with replace_file(path) as file:
                file.write(json.dumps(manifest, indent=1).encode() + b"\n")

    def _read(self) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Whole rows and whole frames, by sample number."""
        return _whole(self.folder, len(self.species))

    def _write(self, samples: Iterable[int], rows: dict[int, bytes], frames: dict[int, bytes]) -> None:
        with replace_file(self.folder / FRAMES) as file:
            file.writelines(frames[sample] for sample in samples)
        with replace_file(self.folder / ROWS) as file:
            file.writelines([HEADER, *(rows[sample] for sample in samples)])

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
    return _parse_all(*_whole(Path(folder), atoms))


def began_with(folder: str | Path, crystals: Crystals, numbers: Sequence[int]) -> bool:
    """Whether the relaxations in a folder are of these structures, as far as rounding lets one tell.

    Args:
        folder: of a `Journal`.
        crystals: the structures.
        numbers: their sample numbers.
    """
    found = json.loads((Path(folder) / MANIFEST).read_bytes())
    return _same(found.get("structures"), _identity(crystals, list(numbers)))


def _whole(folder: Path, atoms: int) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Whole rows and whole frames, by sample number."""
    rows, frames = (path.read_bytes() if path.exists() else b"" for path in (folder / ROWS, folder / FRAMES))
    return _whole_rows(rows), _whole_frames(frames, atoms)


def _parse_all(rows: dict[int, bytes], frames: dict[int, bytes]) -> list[Relaxed]:
    from ase.io.extxyz import read_xyz

    samples = sorted(rows.keys() & frames.keys())
    text = io.StringIO(b"".join(frames[sample] for sample in samples).decode())
    atoms = read_xyz(text, slice(None)) if samples else []
    return [_parse(rows[sample], frame.positions) for sample, frame in zip(samples, atoms, strict=True)]


def _manifest(crystals: Crystals, numbers: np.ndarray, card: PotentialCard, settings: Settings) -> dict:
    return {
        "structures": _identity(crystals, numbers.tolist()),
        "potential": {"name": card.name, "hash": card.hash},
        "settings": asdict(settings),
    }


def _identity(crystals: Crystals, numbers: Sequence[int]) -> dict[str, Any]:
    return {"kind": kind_hash(crystals, numbers), "projections": projections(crystals)}


def _same(found: dict | None, wanted: dict) -> bool:
    """Whether a part of a manifest is the wanted one; projections as far as rounding lets them."""
    if not isinstance(found, dict) or "projections" not in wanted:
        return found == wanted
    return found["kind"] == wanted["kind"] and same_projections(found["projections"], wanted["projections"])


def _first_difference(part: str, found: Any, wanted: Any) -> str:
    if part == "structures" or not isinstance(found, dict):
        return part
    key = next(key for key in [*wanted, *found] if found.get(key) != wanted.get(key))
    return f"{part} ({key} is {found.get(key)}, here {wanted.get(key)})"


def _whole_rows(data: bytes) -> dict[int, bytes]:
    rows = {}
    for line in data.splitlines(keepends=True)[1:]:
        fields = line.split(b",")
        if line.endswith(b"\n") and len(fields) == len(COLUMNS) + 1 and fields[7].decode() in REASONS:
            rows[int(fields[0])] = line
    return rows


def _whole_frames(data: bytes, atoms: int) -> dict[int, bytes]:
    frames, lines = {}, data.splitlines(keepends=True)
    for first in range(0, len(lines), atoms + 2):
        frame = lines[first : first + atoms + 2]
        if len(frame) == atoms + 2 and frame[-1].endswith(b"\n"):
            frames[int(SAMPLE.search(frame[1])[1])] = b"".join(frame)
    return frames


def _parse(row: bytes, positions: np.ndarray) -> Relaxed:
    sample, initial, final, steps, evaluations, fmax, _, reason, _ = row.decode().strip().split(",")
    counts = (int(steps), int(evaluations))
    return Relaxed(int(sample), positions, float(initial), float(final), *counts, float(fmax), reason)
