"""The folder of an evaluation: metrics.json, structures.csv, distributions and figures."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Table
from cryingan.storage.atomic import sync_folder

if TYPE_CHECKING:
    from cryingan.evaluation.result import Evaluation

METRICS, STRUCTURES, PARTS = "metrics.json", "structures.csv", ".parts"


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write an evaluation into a folder.

    Files are written into a hidden folder first and moved when all are complete, metrics.json last.

    Raises:
        CryinGANError: the folder cannot be written or the disk is full; existing files are unchanged.
    """
    files: dict[str, Callable[[Path], None]] = {
        STRUCTURES: lambda path: path.write_text(rows_text(evaluation.rows)),
        **{
            name: lambda path, table=table: write_table(table, path) for name, table in evaluation.scores.tables.items()
        },
        **{
            f"{name}.png": lambda path, draw=draw: _draw(draw, path) for name, draw in evaluation.scores.figures.items()
        },
        METRICS: lambda path: path.write_text(json.dumps(as_json(evaluation), indent=1, allow_nan=False) + "\n"),
    }
    parts = folder / PARTS
    try:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        for name, write in files.items():
            write(parts / name)
        made = [path.name for path in parts.iterdir()]
        for name in made:
            _sync(parts / name)
        (folder / METRICS).unlink(missing_ok=True)
        for name in sorted(made, key=lambda name: name == METRICS):
            (parts / name).replace(folder / name)
        sync_folder(folder)
    except OSError as error:
        raise CryinGANError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Content of metrics.json: a key for each metric, then counts, failures and provenance."""
    return {
        "benchmark": evaluation.provenance["settings"]["benchmark"],
        **{name: interval.as_json() for name, interval in evaluation.values.items()},
        "counts": dict(evaluation.counts),
        "failures": dict(evaluation.failures),
        **({"relaxation": dict(evaluation.relaxation)} if evaluation.relaxation else {}),
        "provenance": evaluation.provenance,
    }


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, with all their columns in order of appearance."""
    text = io.StringIO()
    columns = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_table(table: Table, path: Path) -> None:
    """Write columns as CSV, numbers with all digits."""
    columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in table.values()]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))


def _draw(draw: Callable[[], Any], path: Path) -> None:
    from cryingan.plots.style import save_figure

    save_figure(draw(), path, vector="pdf")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def summary_lines(evaluation: Evaluation) -> Iterable[str]:
    """Yield the result as lines of text."""
    counts = evaluation.counts
    yield f"{counts['accepted']} of {counts['original']} structures accepted"
    for reason, count in evaluation.failures.items():
        yield f"  {count} failed: {reason}"
    width = max(map(len, evaluation.values))
    for name, interval in evaluation.values.items():
        if math.isfinite(interval.value):
            yield f"{name:{width}s}  {interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
        else:
            yield f"{name:{width}s}  not defined: {interval.reason}"
