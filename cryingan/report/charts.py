"""What the figures show, as numbers: curves against epochs, values against lambda, and against time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cryingan.evaluation.spread import spread
from cryingan.plots.series import Series
from cryingan.report.differences import Group, label_of, number_in, settings_of
from cryingan.report.results import keys_of, last_number, title_of, unit_of
from cryingan.report.runs import Curve, Run
from cryingan.report.table import scores

MOST_POINTS = 400  # of a curve; more are averaged over equal numbers of epochs
AGAINST_LAMBDA = ("samples/close_pairs", "relax/f1", "samples/f1", "relax/precision", "relax/recall")
AGAINST_TIME = ("relax/f1", "samples/f1", "samples/coverage", "samples/close_pairs", "val/loss")
SCORES = ("d_all", "d_cluster", "d_motif")


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure.

    Attributes:
        name: of its files.
        title: what it shows.
        xlabel: with the unit.
        series: by label, such as the setting.
        references: by label the value of a dashed line, such as the training set's own.
        note: what the numbers are.
        steps: draw a histogram, whose `x` are the left edges of bins.
    """

    name: str
    title: str
    xlabel: str
    series: Mapping[str, Series]
    references: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    steps: bool = False


def curve_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """A chart for each key against epochs: a line a setting, with the range over its seeds."""
    settings, unit = settings_of(runs), unit_of(runs)
    for key in keys_of(runs):
        series, bins = {}, 1
        for group in settings:
            curves = [run.curves[key] for run in group.runs if key in run.curves]
            if curves:
                series[group.label], of_group = over_runs(curves)
                bins = max(bins, of_group)
        note = f"averages over {bins} epochs" if bins > 1 else ""
        yield Chart(_file(key), title_of(key, unit), "epoch", series, references_of(runs, key), note)


def over_runs(curves: Sequence[Curve], most: int = MOST_POINTS) -> tuple[Series, int]:
    """Mean and range over runs at every epoch that one of them has.

    Returns:
        The series, and over how many of these epochs, which is 1 for up to `most`, its values are averages.
    """
    epochs = np.unique(np.concatenate([at for at, _ in curves]))
    values = np.full((len(curves), len(epochs)), np.nan)
    for row, (at, of_run) in zip(values, curves, strict=True):
        row[np.searchsorted(epochs, at)] = of_run
    width = -(-len(epochs) // most)
    if width > 1:
        starts = range(0, len(epochs), width)
        values = np.array([[_mean(row[start : start + width]) for start in starts] for row in values])
        epochs = np.array([epochs[start : start + width].mean() for start in starts])
    mean, low, high = np.array([spread(column) for column in values.T]).reshape(-1, 3).T
    ends = (low, high) if len(curves) > 1 else (None, None)
    return Series(epochs, mean, *ends), width


def references_of(runs: Sequence[Run], key: str) -> dict[str, float]:
    """The training set's own value of a key, and that of random structures, of every data set."""
    found: dict[str, float] = {}
    several = len({run.data for run in runs}) > 1
    for run in runs:
        for label, values in (("training set", run.training), ("random structures", run.random)):
            if key in values:
                found.setdefault(f"{label} ({run.data})" if several else label, values[key])
    return found


def lambda_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """Last values against lambda, where it differs: a line for each other setting, with the range over seeds."""
    groups = [group for group in settings_of(runs) if number_in(group.values.get("lambda", "")) is not None]
    if len({group.values["lambda"] for group in groups}) < 2:
        return
    below = [key for key in keys_of(runs) if key.startswith("relax/fraction_below_")]
    for key in dict.fromkeys([AGAINST_LAMBDA[0], *below, *AGAINST_LAMBDA[1:]]):
        if series := _against_lambda(groups, lambda run, key=key: last_number(run, key)):
            unit, references = unit_of(runs), references_of(runs, key)
            yield Chart(f"lambda_{_file(key)}", title_of(key, unit), "lambda", series, references, "last values")
    for name in SCORES:
        if series := _against_lambda(groups, lambda run, name=name: scores(run).get(name, (np.nan,))[0]):
            yield Chart(f"lambda_{name}", name, "lambda", series, note="newest evaluation in each run folder")


def _against_lambda(groups: Sequence[Group], number_of: Callable[[Run], float]) -> dict[str, Series]:
    points: dict[str, list[tuple[float, ...]]] = {}
    for group in groups:
        values = np.array([number_of(run) for run in group.runs])
        rest = label_of({key: text for key, text in group.values.items() if key != "lambda"})
        if np.isfinite(values).any():
            points.setdefault(rest or group.model, []).append((float(group.values["lambda"]), *spread(values)))
    return {label: Series(*np.array(sorted(of)).T) for label, of in points.items()}


def time_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """Values against training time, a line a setting: what each has reached after equal times.

    Epochs take equal times within a run, so the times of the seeds of a setting that trained an epoch are averaged.
    """
    settings = [group for group in settings_of(runs) if all(len(run.times[0]) for run in group.runs)]
    if not settings:
        return
    for key in AGAINST_TIME:
        series = {}
        for group in settings:
            having = [run for run in group.runs if key in run.curves]
            if having and (timed := _against_time(having, key)) is not None:
                series[group.label] = timed
        if series:
            yield Chart(f"time_{_file(key)}", title_of(key), "training time (min)", series, references_of(runs, key))


def _against_time(runs: Sequence[Run], key: str) -> Series | None:
    """Mean and range over runs at the mean time of an epoch; None where none of these epochs has a time."""
    one, _ = over_runs([run.curves[key] for run in runs])
    times = np.array([np.interp(one.x, *run.times, left=np.nan, right=np.nan) for run in runs])
    at = np.array([_mean(column) for column in times.T]) / 60
    kept = np.isfinite(at)
    ends = (end if end is None else end[kept] for end in (one.low, one.high))
    return Series(at[kept], one.value[kept], *ends) if kept.any() else None


def without_times(runs: Sequence[Run]) -> list[str]:
    """The settings that cannot be compared at equal times, as a run has no times."""
    return [group.label for group in settings_of(runs) if not all(len(run.times[0]) for run in group.runs)]


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan


def _file(key: str) -> str:
    return key.replace("/", "_")
