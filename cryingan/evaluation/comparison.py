"""Comparison of evaluations: a row for each model, over its runs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.evaluation.distributions import distributions
from cryingan.evaluation.report import ABOVE, METRICS, NOT_RELAXED, SPECIES_DISTANCE, above
from cryingan.evaluation.spread import Spread, spread, spread_text
from cryingan.plots import style
from cryingan.plots.comparison import comparison_figure
from cryingan.plots.distributions import distribution_figure
from cryingan.storage.atomic import make_folder, replace_file

TABLE, ROWS, FIGURE = "comparison.md", "comparison.csv", "comparison.png"
DISTRIBUTIONS = "distributions.png"
NAMED = re.compile(r"(?:([^:]*):)?(.*)", re.DOTALL)  # NAME:DIR
SEED = re.compile(r"[_\-.]?seed[_\-=]?\d+", re.IGNORECASE)
ROW_COLUMNS = ("model", "metric", "mean", "min", "max", "runs", "defined", "low", "high", "folders")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evaluations: by model and folder the content of metrics.json, and the names of the metrics in order."""

    runs: Mapping[str, Mapping[str, Mapping[str, Any]]]
    metrics: Sequence[str]

    def values(self, model: str, metric: str, end: str = "value") -> np.ndarray:
        """Return value, `low` or `high` end of a metric of all runs of a model, shape (runs,); NaN if not defined."""
        found = (run.get(metric, {}).get(end) for run in self.runs[model].values())
        return np.array([np.nan if value is None else value for value in found], dtype=np.float64)

    def summary(self, model: str, metric: str) -> Spread:
        """Return mean, minimum and maximum over the runs in which a metric is defined; NaN if in none."""
        return spread(self.values(model, metric))

    @property
    def main_metrics(self) -> list[str]:
        """The metrics that the paper reports: distances, but for species that the reference lacks, and percentages."""
        [first, *_] = (run for runs in self.runs.values() for run in runs.values())  # all have the same reference
        there = re.findall("[A-Z][a-z]?", first["provenance"]["reference"].get("composition", ""))
        named = [name for name in self.metrics if name.startswith(("d_", "percent_")) and not name.endswith("_cosine")]
        return [name for name in named if not (of := SPECIES_DISTANCE.match(name)) or of[1] in there or not there]


def compare(folders: Sequence[str]) -> Comparison:
    """Read evaluations and group them by model.

    Args:
        folders: folders of evaluations. NAME:DIR names the model of one. The default name is the part of the path in
            which the folders differ, without its seed: `a_seed1` and `a_seed2` are two runs of `a`.

    Raises:
        CryinGANError: a folder has no evaluation or is given twice, or benchmarks, references or settings differ.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> silicon = cryingan.Crystals([[[0, 0, 0], [0.25, 0.25, 0.25]]] * 3, 5.43 / 2 * (1 - np.eye(3)), ["Si", "Si"])
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("a", "b"):
        ...         output = f"{folder}/{name}"
        ...         _ = cryingan.evaluate(silicon, silicon, "silicon", output=output, processes=1, progress=False)
        ...     cryingan.compare([f"{folder}/a", f"{folder}/b"]).metrics
        ['d_motif', 'd_rdf', 'd_angle', 'd_motif_cosine', 'percent_failed']
    """
    named = [NAMED.fullmatch(folder).groups() for folder in folders]
    paths = [Path(path) for _, path in named]
    real = [path.resolve() for path in paths]
    twice = [path for path, folder in zip(paths, real, strict=True) if real.count(folder) > 1]
    if twice:
        raise CryinGANError(f"compare: {twice[0]} is given twice")
    runs: dict[str, dict[str, Any]] = {}
    for (name, _), default, path in zip(named, model_names(paths), paths, strict=True):
        runs.setdefault(name or default, {})[str(path)] = read_evaluation(path)
    every = [(folder, run) for model in runs.values() for folder, run in model.items()]
    for folder, run in every[1:]:
        require_same(*every[0], folder, run)
    _warn_of_versions(every)
    entries = ((name, entry) for _, run in every for name, entry in run.items())
    metrics = dict.fromkeys(name for name, entry in entries if isinstance(entry, dict) and "value" in entry)
    return Comparison(runs, list(metrics))


def model_names(paths: Sequence[Path]) -> list[str]:
    """Return the part of each path in which they differ, without the seed."""
    parts = [path.resolve().parts for path in paths]
    shortest = min(map(len, parts))
    head = next((i for i in range(shortest) if len({part[i] for part in parts}) > 1), shortest - 1)
    most = shortest - head - 1
    tail = next((i for i in range(most) if len({part[-1 - i] for part in parts}) > 1), most)
    kept = ("/".join(part[head : len(part) - tail]) for part in parts)
    return [SEED.sub("", name).strip("/") or name for name in kept]


def write_comparison(comparison: Comparison, folder: str | Path) -> Path:
    """Write comparison.md, comparison.csv and comparison.png (and .pdf) into a folder and return it.

    Where the evaluations have curves or shares of motifs, distributions.png (and .pdf) shows them beside the
    reference's.

    Raises:
        CryinGANError: the folder cannot be written.
    """
    folder = make_folder(folder)
    for name, text in ((TABLE, markdown(comparison)), (ROWS, rows(comparison))):
        with replace_file(folder / name) as file:
            file.write(text.encode())
    models, metrics = list(comparison.runs), comparison.main_metrics
    shown = {name: np.transpose([comparison.summary(model, name) for model in models]) for name in metrics}
    style.save_figure(comparison_figure(models, shown), folder / FIGURE, vector="pdf")
    if found := distributions({model: list(map(Path, runs)) for model, runs in comparison.runs.items()}):
        style.save_figure(distribution_figure(found), folder / DISTRIBUTIONS, vector="pdf")
    return folder


def markdown(comparison: Comparison) -> str:
    """Return a Markdown table with mean (min, max) over the runs of each model, or the value of a single run.

    Lines below it say what its numbers are.
    """
    metrics = comparison.main_metrics
    lines = [["model", "runs", *metrics], ["---"] * (len(metrics) + 2)]
    for model, runs in comparison.runs.items():
        lines.append([model, str(len(runs)), *(spread_text(comparison.values(model, metric)) for metric in metrics)])
    table = [f"| {' | '.join(line)} |\n" for line in lines]
    return "".join([*table, *(f"\n{note}\n" for note in _notes(comparison))])


def _notes(comparison: Comparison) -> Iterator[str]:
    """What the numbers of a table are."""
    every = [run for runs in comparison.runs.values() for run in runs.values()]
    if not all(run.get("relaxation") for run in every):
        yield f"percent_failed: {NOT_RELAXED}"
    if any(len(runs) > 1 for runs in comparison.runs.values()):
        yield "several runs: mean (min, max) over them, no intervals"
    single = [model for model, runs in comparison.runs.items() if len(runs) == 1]
    if single:
        yield f"a single run: its value; the 95 % interval over its structures is in {ROWS}"
    distances = [name for name in comparison.main_metrics if name.startswith("d_")]
    ends = ((comparison.values(m, d).item(), comparison.values(m, d, "high").item()) for m in single for d in distances)
    if any(above(*pair) for pair in ends):
        yield ABOVE


def rows(comparison: Comparison) -> str:
    """Return a CSV row for each model and metric; `low` and `high` are the bootstrap interval of a single run."""
    from pandas import DataFrame

    lines = []
    for model, runs in comparison.runs.items():
        for metric in comparison.metrics:
            values = comparison.values(model, metric)
            ends = [comparison.values(model, metric, end)[0] if len(runs) == 1 else "" for end in ("low", "high")]
            counts = [len(runs), int(np.isfinite(values).sum())]
            lines.append([model, metric, *comparison.summary(model, metric), *counts, *ends, " ".join(runs)])
    return DataFrame(lines, columns=ROW_COLUMNS).to_csv(index=False, na_rep="nan", lineterminator="\n")


def read_evaluation(folder: Path) -> dict[str, Any]:
    """The content of an evaluation's metrics.json.

    Raises:
        CryinGANError: it is not there, or cannot be read.
    """
    try:
        content = json.loads((folder / METRICS).read_bytes())
        if not isinstance(content["provenance"]["settings"], dict):
            raise TypeError("provenance")
    except FileNotFoundError as error:
        raise CryinGANError(f"{folder} has no {METRICS}: give folders of finished evaluations") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CryinGANError(f"{folder / METRICS} cannot be read: {error}") from error
    return content


def _warn_of_versions(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Warn of the first evaluation that was scored with other versions than the first folder."""
    (first, ours), *others = [(folder, run["provenance"].get("versions", {})) for folder, run in runs]
    for folder, theirs in others:
        for name in sorted({*ours, *theirs}):
            one, other = (versions.get(name, "unknown") for versions in (ours, theirs))
            if one != other:
                log.warning("%s was scored with %s %s, %s with %s: numbers may differ", first, name, one, folder, other)
                return


def require_same(first: str, one: Mapping[str, Any], second: str, other: Mapping[str, Any]) -> None:
    """Refuse two evaluations, given by folder and content, of other benchmarks, references or settings.

    Raises:
        CryinGANError: names what differs.
    """
    ours, theirs = one["provenance"], other["provenance"]
    if one["benchmark"] != other["benchmark"]:
        raise CryinGANError(f"{first} is of benchmark {one['benchmark']}, {second} of {other['benchmark']}")
    if ours["reference"]["sha256"] != theirs["reference"]["sha256"]:
        names = [side["reference"]["path"] for side in (ours, theirs)]
        raise CryinGANError(f"{first} has the reference {names[0]}, {second} another one, {names[1]}")
    different = [name for name in ours["settings"] if ours["settings"][name] != theirs["settings"].get(name)]
    if different:
        values = [side["settings"].get(different[0]) for side in (ours, theirs)]
        raise CryinGANError(f"{first} has {different[0]}={values[0]}, {second} {values[1]}: they cannot be compared")
