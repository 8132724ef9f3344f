"""A file that keeps descriptors of structures as they end, so that a killed evaluation resumes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.storage.records import RecordFile

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Described:
    """What is kept of one structure.

    Attributes:
        number: its place in the file, from 1.
        composition: atoms per species, sorted by symbol.
        arrays: its descriptors; none where it failed.
        reason: why it failed; empty otherwise.
        lasting: whether another attempt would give the same; what may not is not kept.
    """

    number: int
    composition: Mapping[str, int]
    arrays: Arrays
    reason: str = ""
    lasting: bool = True


class DescriptorFile:
    """Descriptors in a `RecordFile`: what a kill tears off its end is computed again, nothing else.

    Args:
        path: made when missing.
        key: what the descriptors are of and how they are made, as JSON values.
        cache: start anew where the file holds something else, and do without it where it cannot be written.
        replace: only start anew.

    Attributes:
        known: what is in the file, by number.

    Raises:
        OtherResultsError: the file holds descriptors with another key.
        CryinGANError: the file cannot be written.
    """

    def __init__(self, path: str | Path, key: Mapping[str, Any], cache: bool = False, replace: bool = False) -> None:
        self.records = RecordFile(path, key, cache, replace)
        self.known = {described.number: described for described in map(_parse, self.records)}

    def append(self, described: Described) -> None:
        """Add one structure."""
        text = {"number": described.number, "composition": described.composition, "reason": described.reason}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, about=json.dumps(text), **described.arrays)
        self.records.append(buffer.getvalue())
        self.known[described.number] = described


def _parse(record: bytes) -> Described:
    with np.load(io.BytesIO(record), allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    about = json.loads(str(arrays.pop("about")))
    return Described(about["number"], about["composition"], arrays, about["reason"])
