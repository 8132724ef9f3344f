"""Tables of benchmarks; needs no PyTorch, so that reading and writing them takes no time."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryingan.storage.atomic import replace_file


def write_table(path: str | Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows as a CSV with a header; a column that a row does not have is empty there."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replace_file(path) as file:
        file.write(text.getvalue().encode())


def read_table(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV; none where there is no file."""
    if not Path(path).exists():
        return []
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
