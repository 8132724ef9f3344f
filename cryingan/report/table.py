"""The table of results at three levels: run, setting (mean and range over seeds) and model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cryingan.evaluation.spread import spread, spread_text
from cryingan.report.differences import SEED, Group, differing, models_of, settings_of, text_of
from cryingan.report.results import Value, best_value, is_main, keys_of, last_value, title_of, unit_of
from cryingan.report.runs import Run
from cryingan.storage.fraction_keys import mode_of

WHICH = {"last": last_value, "best": best_value}


@dataclass(frozen=True)
class Column:
    """A column: what it shows, `last` or `best` where it is one of these values, and whether it is shown at first."""

    name: str
    title: str
    which: str = ""
    main: bool = True


@dataclass(frozen=True)
class Cell:
    """A cell: its text, what it is sorted by (None: last), and a note in small print."""

    text: str
    sort: float | str | None = None
    note: str = ""


@dataclass(frozen=True)
class Table:
    """One level of the table."""

    level: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        rows = [[[cell.text, cell.sort, cell.note] for cell in row] for row in self.rows]
        return {"level": self.level, "columns": [asdict(column) for column in self.columns], "rows": rows}


def tables(runs: Sequence[Run]) -> list[Table]:
    """The three levels of the table."""
    names = differing(runs)
    unseeded = [name for name in names if name != SEED]
    return [
        Table("run", *_of_runs(runs, names)),
        Table("setting", *_of_groups(runs, settings_of(runs), unseeded)),
        Table("model", *_of_groups(runs, models_of(runs), ["model"])),
    ]


def _of_runs(runs: Sequence[Run], names: Sequence[str]) -> tuple[list[Column], list[list[Cell]]]:
    columns = [*(Column(name, name) for name in names), *_result_columns(runs)]
    columns += [Column("state", "state"), Column("relaxation", "relaxation"), Column("folder", "folder")]
    rows = []
    for run in runs:
        settings = [_setting(text_of(run, name)) for name in names]
        ends = (run.state, run.relaxation or f"epoch {run.last_relaxed.epoch}", str(run.folder))
        cells = [_result(run, column) for column in _result_columns(runs)]
        rows.append([*settings, *cells, *(Cell(text, text) for text in ends)])
    return columns, rows


def _of_groups(
    runs: Sequence[Run], groups: Sequence[Group], names: Sequence[str]
) -> tuple[list[Column], list[list[Cell]]]:
    results = _result_columns(runs)
    columns = [*(Column(name, name) for name in names or ["model"]), Column("runs", "runs"), *results]
    rows = []
    for group in groups:
        settings = [_setting(group.values.get(name, "")) for name in names] or [_setting(group.label)]
        count = Cell(str(len(group.runs)), len(group.runs), _unfinished(group))
        rows.append([*settings, count, *(_over_runs(group, column) for column in results)])
    return columns, rows


def _result_columns(runs: Sequence[Run]) -> list[Column]:
    unit = unit_of(runs)
    keys = keys_of(runs)
    found = [Column(key, title_of(key, unit), which, is_main(key)) for key in keys for which in WHICH]
    of_evaluations = dict.fromkeys(name for run in runs for name in scores(run))
    return [*found, *(Column(name, name, "evaluation") for name in of_evaluations)]


def scores(run: Run) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of every score of the newest evaluation in a run, as `evaluate.py` wrote them."""
    if not run.evaluations:
        return {}
    newest = list(run.evaluations.values())[-1]
    shown = ((name, one) for name, one in newest.items() if name.startswith(("d_", "percent_")))
    return {
        name: tuple(math.nan if one.get(end) is None else one[end] for end in ("value", "low", "high"))
        for name, one in shown
        if isinstance(one, dict) and not name.endswith("_cosine")
    }


def _setting(text: str) -> Cell:
    try:
        return Cell(text, value if math.isfinite(value := float(text)) else None)
    except ValueError:
        return Cell(text or "none", text or None)


def _result(run: Run, column: Column) -> Cell:
    if column.which == "evaluation":
        value, low, high = scores(run).get(column.name, (math.nan,) * 3)
        return _number(Value(value, 0, low, high), "") if math.isfinite(value) else Cell("not scored")
    value = WHICH[column.which](run, column.name)
    if value is None:
        return Cell(_why_not(run, column))
    return _number(value, f"epoch {value.epoch}")


def _number(value: Value, where: str) -> Cell:
    interval = f"{value.low:.3g} to {value.high:.3g}" if math.isfinite(value.low + value.high) else ""
    return Cell(f"{value.value:.3g}", value.value, "; ".join(filter(None, (interval, where))))


def _why_not(run: Run, column: Column) -> str:
    if column.name.startswith("relax/") and not any(key.startswith("relax/") for key in run.curves):
        return run.relaxation or "not logged"
    if column.which == "best" and column.name in run.curves and mode_of(column.name) is None:
        return "no best value"
    return "undefined" if column.name in run.curves else "not logged"


def _over_runs(group: Group, column: Column) -> Cell:
    if len(group.runs) == 1:
        return _result(group.runs[0], column)
    values = np.array([_plain_value(run, column) for run in group.runs])
    if not np.isfinite(values).any():
        reasons = dict.fromkeys(_result(run, column).text for run in group.runs)
        return Cell("; ".join(reasons))
    mean, _, range_ = spread_text(values).partition(" ")
    return Cell(mean, spread(values).mean, range_)


def _plain_value(run: Run, column: Column) -> float:
    if column.which == "evaluation":
        return scores(run).get(column.name, (math.nan,))[0]
    value = WHICH[column.which](run, column.name)
    return math.nan if value is None else value.value


def _unfinished(group: Group) -> str:
    states = [run.state for run in group.runs]
    failed = sum(state.startswith(("failed", "cannot")) for state in states)
    unfinished = sum(state.startswith(("not finished", "no epoch")) for state in states)
    counts = ((failed, "failed"), (unfinished, "not finished"))
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def table_rows(table: Table) -> Iterator[list[str]]:
    """The table as lines of a CSV file: values with all digits, then the notes."""
    yield [f"{column.which} {column.name}".strip() for column in table.columns]
    for row in table.rows:
        yield [str(cell.sort) if isinstance(cell.sort, float) else cell.text for cell in row]
