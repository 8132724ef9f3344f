"""Finished batches of samples, of which a kill loses the one in work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cryingan.storage.atomic import make_folder, remove_without_files
from cryingan.storage.locks import LOCK, lock_folder
from cryingan.storage.records import RecordFile


class FinishedBatch(NamedTuple):
    """Samples that were drawn together.

    Attributes:
        fractional: grouped coordinates, float64, shape (structures, atoms, 3).
        rejected: what was refused on the way, as in `cryingan.models.base.GenerativeModel`; empty where nothing can be.
    """

    fractional: np.ndarray
    rejected: dict[str, int]


class FinishedBatches:
    """Batches in a `RecordFile`, which is made with the first of them.

    Args:
        path: the file; its folder must exist.
        key: what the samples depend on besides their numbers, as JSON values.

    Attributes:
        known: the batches, by the numbers of their samples.

    Raises:
        OtherResultsError: the file holds other samples.
        CryinGANError: it cannot be read or written.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path, self.key = path, key
        self.records = RecordFile(path, key) if path.exists() else None
        self.known = dict(map(_parsed, self.records or ()))

    def keep(self, numbers: range, batch: FinishedBatch) -> None:
        """Add a batch."""
        buffer = io.BytesIO()
        about = json.dumps({"first": numbers.start, "rejected": batch.rejected})
        np.savez(buffer, about=about, fractional=batch.fractional)
        self.records = self.records or RecordFile(self.path, self.key)
        self.records.append(buffer.getvalue())
        self.known[numbers] = batch


def _parsed(record: bytes) -> tuple[range, FinishedBatch]:
    with np.load(io.BytesIO(record), allow_pickle=False) as loaded:
        about, fractional = json.loads(str(loaded["about"])), loaded["fractional"]
    return range(about["first"], about["first"] + len(fractional)), FinishedBatch(fractional, about["rejected"])


@contextmanager
def finished_batches(path: Path, key: Mapping[str, Any], stay: bool = False) -> Iterator[FinishedBatches]:
    """Batches in a file until the block that writes the samples has ended; where it raises the file stays.

    The folder is made, locked during the block, and removed if nothing is in it then. Errors are those of
    `FinishedBatches` and `cryingan.storage.locks.lock_folder`.

    Args:
        path: as in `FinishedBatches`.
        key: likewise.
        stay: have the file stay in any case, for the samples that are made of it to be relaxed.
    """
    folder = make_folder(path.parent)
    with lock_folder(folder, patient=True):  # one that was just killed leaves in a moment
        try:
            yield FinishedBatches(path, key)
            if not stay:
                path.unlink(missing_ok=True)
        finally:
            remove_without_files(folder, LOCK)
