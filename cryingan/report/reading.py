"""Read run folders; a damaged file is named, and the rest of its run is there."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cryingan.evaluation.comparison import read_evaluation
from cryingan.evaluation.report import METRICS as EVALUATION
from cryingan.plots.training import read_metrics
from cryingan.report.runs import METRICS, SETTINGS, SUMMARY, RelaxedSamples, Run, newest_relaxed
from cryingan.samples.folder import ENERGIES, REFERENCE, SAMPLES, read_error, read_summary
from cryingan.storage.fraction_keys import current_key
from cryingan.storage.text import in_one_line
from cryingan.training.record import TIMES, read_record, read_times

TRAINING, UNTRAINED, TRAINED = "training set", "untrained", "trained"
"""Headings of summary.json; the fourth one, of random structures, says which these are."""


class _Folder:
    """A run folder whose parts are read one after the other; `unread` says why some could not be."""

    def __init__(self, path: Path) -> None:
        self.path, self.unread = path, []

    def read(self, path: Path, reader: Callable[[Path], Any], empty: Any) -> Any:
        """What a reader makes of a file or folder; `empty` where it is not there, or cannot be read."""
        try:
            return reader(path) if path.exists() else empty
        except Exception as error:  # whatever a file holds that was damaged or written by others
            self.unread.append(f"{path}: {type(error).__name__}: {in_one_line(error)}")
            return empty


def read_run(folder: str | Path) -> Run:
    """Read a run folder."""
    folder = Path(folder)
    parts = _Folder(folder)
    relaxed = parts.read(folder / "relaxed", lambda path: list(_relaxed(path)), [])
    training, random = parts.read(folder / SUMMARY, _beside, ({}, {}))
    for one in relaxed:
        training = training | _numbers((one.summary or {}).get("training", {}))
        random = random | _numbers((one.summary or {}).get("random", {}))
    newest = newest_relaxed(relaxed)
    of_samples = folder if newest is None else newest.folder
    epochs, seconds = parts.read(folder / TIMES, lambda path: read_times(path.parent), np.empty((0, 2))).T
    evaluations = {str(path): parts.read(path, read_evaluation, {}) for path in _evaluations(folder)}
    return Run(
        folder,
        settings=parts.read(folder / SETTINGS, lambda path: flat(yaml.safe_load(path.read_text())), {}),
        curves=parts.read(folder / METRICS, _curves, {}),
        relaxed=relaxed,
        outcomes=parts.read(of_samples / ENERGIES, _outcomes, {}),
        beside=parts.read(of_samples / REFERENCE, _reference, {}),
        training=training,
        random=random,
        record=read_record(folder),
        times=(epochs + 1, seconds),
        evaluations={path: content for path, content in evaluations.items() if content},
        unread=parts.unread,
    )


def flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings in groups by the keys of the command line; lists as they are.

    >>> flat({"seed": 1, "model": {"betas": [0.5, 0.9], "ema": 0.0}})
    {'seed': 1, 'model.betas': [0.5, 0.9], 'model.ema': 0.0}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def _curves(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    read = read_metrics(path)
    return {name: (at + 1, values) for name, (at, values) in read.items() if name != "epoch" and len(at)}


def _beside(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Values of the training set and of random structures in summary.json."""
    summary = json.loads(path.read_bytes())
    [*others] = (name for name in summary if name not in (TRAINING, UNTRAINED, TRAINED, "epochs", "samples"))
    return _numbers(summary.get(TRAINING, {})), _numbers(summary[others[0]]) if others else {}


def _relaxed(folder: Path) -> Iterator[RelaxedSamples]:
    for path in sorted(folder.glob(f"epoch_*[0-9]/{SAMPLES}")):
        if not path.parent.suffix:  # not those that were set aside
            epoch = int(path.parent.name.removeprefix("epoch_"))
            yield RelaxedSamples(path.parent, epoch, read_summary(path.parent), read_error(path.parent))


def _outcomes(path: Path) -> dict[int, tuple[float, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError("it has no rows")
    return {int(row["sample"]): (float(row["energy"] or "nan"), row["reason"]) for row in rows}


def _reference(path: Path) -> dict[str, np.ndarray]:
    sets: dict[str, list[float]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            sets.setdefault(row["set"], []).append(float(row["energy"]))
    return {name: np.array(energies) for name, energies in sets.items()}


def _evaluations(folder: Path) -> list[Path]:
    """Folders of evaluations, the newest last."""
    found = (path for path in folder.rglob(EVALUATION) if not {".parts", "wandb"} & set(path.parts))
    return [path.parent for path in sorted(found, key=lambda path: (path.stat().st_mtime, path))]


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {current_key(name): float(value) for name, value in values.items() if isinstance(value, int | float)}
