"""Results that end one by one, kept in a file, of which a kill loses those in work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from cryingan.errors import OtherResultsError
from cryingan.storage.records import RecordFile

Result = TypeVar("Result", bound=NamedTuple)


class KeptResults(Generic[Result]):
    """Results by their field `sample` in a `RecordFile`; they also have an array `positions` and plain values.

    Args:
        path: the file.
        key: what the results are of and how they are made, as JSON values.
        kind: class of the results.

    Attributes:
        known: what is in the file, by number.

    Raises:
        OtherResultsError: the file holds results of something else.
        CryinGANError: it cannot be written.
    """

    def __init__(self, path: Path, key: Mapping[str, Any], kind: type[Result]) -> None:
        try:
            self.records, self.kind = RecordFile(path, key), kind
        except OtherResultsError as error:
            found, _, _ = str(error).rpartition(":")
            message = f"{found} in {path.name}: give another work=FOLDER, or remove the file to make them again"
            raise OtherResultsError(message) from error
        self.known = {result.sample: result for result in map(self._parsed, self.records)}

    def __iter__(self) -> Iterator[Result]:
        """All results, by number."""
        return (self.known[number] for number in sorted(self.known))

    def keep(self, ending: Iterable[Result]) -> Iterator[Result]:
        """Pass results on, each after it is in the file."""
        for result in ending:
            plain = result._asdict()
            buffer = io.BytesIO()
            positions = plain.pop("positions")
            np.savez_compressed(buffer, about=json.dumps(plain), positions=positions)
            self.records.append(buffer.getvalue())
            self.known[result.sample] = result
            yield result

    def _parsed(self, record: bytes) -> Result:
        with np.load(io.BytesIO(record), allow_pickle=False) as loaded:
            return self.kind(positions=loaded["positions"], **json.loads(str(loaded["about"])))
