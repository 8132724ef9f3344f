"""The folder of an evaluation: metrics.json, structures.csv, distributions and figures."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryingan.errors import CryinGANError
from cryingan.evaluation.benchmarks.base import Table
from cryingan.evaluation.result import Evaluation
from cryingan.plots import style
from cryingan.samples.report import comparison_line
from cryingan.storage.atomic import sync_folder

METRICS, STRUCTURES, PARTS = "metrics.json", "structures.csv", ".parts"
NOT_RELAXED = "without relaxation by sample.py, atoms on one spot are no failure"
REFUSED = "atoms of another element, which the paper counts as failed and percent_failed does not"
ABOVE = (
    "intervals below their distance are no mistake: drawing structures anew makes a distance between means larger, and "
    "intervals correct that (docs/evaluation.md)"
)
SPECIES_DISTANCE = re.compile("d_([A-Z][a-z]?)(_|$)")


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write an evaluation: into a hidden folder first, moved into `folder` when all is complete, metrics.json last.

    Raises:
        CryinGANError: the folder cannot be written or the disk is full; existing files are unchanged.
    """
    parts = folder / PARTS
    try:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        columns = dict.fromkeys(name for row in evaluation.rows for name in row)
        structures = {name: [row.get(name, "") for row in evaluation.rows] for name in columns}
        for name, table in {STRUCTURES: structures, **evaluation.scores.tables}.items():
            write_table(table, parts / name)
        for name, draw in evaluation.scores.figures.items():
            style.save_figure(draw(), parts / f"{name}.png", vector="pdf")
        (parts / METRICS).write_text(json.dumps(as_json(evaluation), indent=1, allow_nan=False) + "\n")
        made = sorted(parts.iterdir(), key=lambda path: path.name == METRICS)
        for path in made:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        (folder / METRICS).unlink(missing_ok=True)
        for path in made:
            path.replace(folder / path.name)
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
        **({"beside": _beside_as_json(evaluation)} if evaluation.beside else {}),
        "provenance": evaluation.provenance,
    }


def _beside_as_json(evaluation: Evaluation) -> dict[str, Any]:
    return {of: {name: one.as_json() for name, one in values.items()} for of, values in evaluation.beside.items()}


def write_table(table: Table, path: Path) -> None:
    """Write columns as CSV, numbers with all digits."""
    from pandas import DataFrame

    DataFrame(table).to_csv(path, index=False, na_rep="nan", lineterminator="\n")


def above(value: float, high: float) -> bool:
    """Whether a value lies above the upper end of its interval, beyond rounding."""
    return value > high + 1e-9 * abs(high)


def summary_lines(evaluation: Evaluation) -> Iterable[str]:
    """Yield the result as lines of text."""
    counts = evaluation.counts
    yield f"{counts['accepted']} of {counts['original']} structures accepted"
    for reason, count in evaluation.failures.items():
        yield f"  {count} failed: {_with_its_first(reason, evaluation)}"
    if refused := counts.get("refused"):
        share = 100 * refused / counts["drawn"]
        yield f"  {refused} of {counts['drawn']} candidates refused by the model, {share:.3g} %: {REFUSED}"
    width = max(map(len, evaluation.values))
    there = re.findall("[A-Z][a-z]?", evaluation.provenance["reference"]["composition"])
    for name, interval in evaluation.values.items():
        if math.isfinite(interval.value):
            note = f"; {NOT_RELAXED}" if name == "percent_failed" and not evaluation.relaxation else ""
            yield f"{name:{width}s}  {interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g}){note}"
        elif not (match := SPECIES_DISTANCE.match(name)) or match[1] in there:  # the others have nothing to compare
            yield f"{name:{width}s}  not defined: {interval.reason}"
    yield from _beside_training(evaluation)
    distances = (interval for name, interval in evaluation.values.items() if name.startswith("d_"))
    if any(above(interval.value, interval.high) for interval in distances):
        yield ABOVE
    for of, values in evaluation.beside.items():
        shown = [f"{name} {one.value:.4g}" for name, one in values.items() if math.isfinite(one.value)]
        yield f"{of}: {', '.join(shown) or 'none can be described'}"


def _beside_training(evaluation: Evaluation) -> Iterable[str]:
    """A line about relaxed samples beside the training set, where there is one."""
    sets = {"values": evaluation.relaxation, "training": evaluation.relaxation.get("training", {})}
    named = {name: {f"relax/{key}": value for key, value in of.items()} for name, of in sets.items()}
    line = comparison_line(named)
    return [] if line is None else [line]


def _with_its_first(reason: str, evaluation: Evaluation) -> str:
    """A reason with the numbers and the place of the first structure that it holds for, where it has numbers."""
    row = evaluation.first_failures.get(reason)
    if row is None or row["reason"] == reason:
        return reason
    sample = row["sample"]
    place = sample if isinstance(sample, str) and sample else f"structure {row.get('number', sample)}"
    return f"{row['reason']} ({'the first: ' if evaluation.failures[reason] > 1 else ''}{place})"
