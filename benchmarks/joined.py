"""Tables of several benchmarks in one: `python -m benchmarks.joined FOLDER`, called by benchmarks/gpu.sh.

FOLDER/gpu.csv gets the rows of FOLDER/parts.csv, one for each part with how it ended, and behind each those of
FOLDER/parts/PART.csv, as far as that part wrote them. A column that a part does not have is empty there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.tables import read_table, write_table


def joined(folder: Path) -> list[dict[str, str]]:
    """All rows, each with its `part`."""
    rows = []
    for part in read_table(folder / "parts.csv"):
        measured = read_table(folder / "parts" / f"{part['part']}.csv")
        rows += [part, *({"part": part["part"], **row} for row in measured)]
    return rows


if __name__ == "__main__":
    write_table(Path(sys.argv[1], "gpu.csv"), joined(Path(sys.argv[1])))
