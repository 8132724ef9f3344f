"""What samples of several runs are like, in one table: `python -m benchmarks.runs NAME=RUN,RUN ...`.

The values are the last that `SampleQuality` measured before `--epochs`, in metrics.csv of each run folder. Runs of one
name, separated by commas, are of several seeds: their mean is printed with the least and the largest value. Precision,
recall and coverage depend on the number of samples, so all runs have measured equally many.

    python -m benchmarks.runs NAME=RUN[,RUN ...] [NAME=... ...] [--epochs 100] [--output runs.csv]
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.models import named_folders, table
from benchmarks.tables import write_table
from cryingan.errors import CryinGANError

KEYS = {
    "close_pairs": "close pairs",
    "neighbor_distance_error": "error of neighbour distances (A)",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "distance": "distance between samples (A)",
    "nearest_training": "nearest training structure (A)",
}


def last_values(folder: Path, epochs: int) -> dict[str, float]:
    """The last measured values of a run within so many epochs, by `samples/<name>`; NaN for those that it has not.

    Raises:
        CryinGANError: the folder is no run, or nothing was measured there.
    """
    path = folder / "metrics.csv"
    if not path.is_file():
        raise CryinGANError(f"{folder}: no metrics.csv, so it is no run folder")
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("samples/close_pairs") and int(row["epoch"]) < epochs]
    if not rows:
        raise CryinGANError(f"{path}: no samples were measured within {epochs} epochs")
    return {f"samples/{key}": float(rows[-1].get(f"samples/{key}") or np.nan) for key in KEYS}


def main() -> None:
    """Print the table."""
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "runs", nargs="+", type=named_folders, metavar="NAME=RUN,RUN", help="a name and its run folders"
    )
    parser.add_argument("--epochs", type=command.positive, default=10**9, help="look at these first epochs only")
    parser.add_argument("--output", type=command.output, default="runs.csv", help="table of all values")
    arguments = parser.parse_args()
    rows, lines = {}, []
    for name, folders in arguments.runs:
        for folder in folders:
            values = last_values(folder, arguments.epochs)
            rows.setdefault(name, []).append(values)
            lines.append({"run": name, "folder": str(folder), **values})
    write_table(arguments.output, lines)
    print(table("raw", rows, "samples", KEYS))


if __name__ == "__main__":
    with command.told_in_one_line():
        main()
