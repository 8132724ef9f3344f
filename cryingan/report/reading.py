"""Read run folders; a damaged file is named, and the rest of its run is there."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.evaluation.report import METRICS as EVALUATION
from cryingan.plots.training import read_metrics
from cryingan.report.contents import checked, evaluation_in, numbers_in, record_in, relaxed_in, settings_in
from cryingan.report.runs import METRICS, SETTINGS, SUMMARY, RelaxedSamples, Run, newest_relaxed
from cryingan.samples.folder import ENERGIES, REFERENCE, SAMPLES, read_error
from cryingan.storage.text import in_one_line
from cryingan.training.record import RECORD, TIMES, read_times

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
    relaxed = [one for path in _relaxed(folder) if (one := parts.read(path, _samples, None)) is not None]
    training, random = parts.read(folder / SUMMARY, _beside, ({}, {}))
    for one in relaxed:
        training = training | numbers_in((one.summary or {}).get("training") or {})
        random = random | numbers_in((one.summary or {}).get("random") or {})
    newest = newest_relaxed(relaxed)
    of_samples = folder if newest is None else newest.folder
    epochs, seconds = parts.read(folder / TIMES, lambda path: read_times(path.parent), np.empty((0, 2))).T
    evaluations = {str(path): parts.read(path, evaluation_in, {}) for path in _evaluations(folder)}
    return Run(
        folder,
        settings=parts.read(folder / SETTINGS, settings_in, {}),
        curves=parts.read(folder / METRICS, _curves, {}),
        relaxed=relaxed,
        outcomes=parts.read(of_samples / ENERGIES, _outcomes, {}),
        beside=parts.read(of_samples / REFERENCE, _reference, {}),
        training=training,
        random=random,
        record=parts.read(folder / RECORD, record_in, {}),
        times=(epochs + 1, seconds),
        evaluations={path: content for path, content in evaluations.items() if content},
        unread=parts.unread,
    )


def _curves(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    read = read_metrics(path)
    return {name: (at + 1, values) for name, (at, values) in read.items() if name != "epoch" and len(at)}


def _beside(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Values of the training set and of random structures in summary.json."""
    summary = checked(json.loads(path.read_bytes()))
    [*others] = (name for name in summary if name not in (TRAINING, UNTRAINED, TRAINED, "epochs", "samples"))
    return numbers_in(summary.get(TRAINING, {})), numbers_in(summary[others[0]]) if others else {}


def _relaxed(folder: Path) -> list[Path]:
    """Folders of relaxed samples, but for those that were set aside."""
    found = sorted(path.parent for path in folder.glob(f"relaxed/epoch_*[0-9]/{SAMPLES}"))
    return [path for path in found if not path.suffix]


def _samples(folder: Path) -> RelaxedSamples:
    epoch = int(folder.name.removeprefix("epoch_"))
    return RelaxedSamples(folder, epoch, relaxed_in(folder), read_error(folder))


def _outcomes(path: Path) -> dict[int, tuple[float, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError("it has no rows")
    energies = [float(row["energy"] or "nan") for row in rows]
    finite = [energy if math.isfinite(energy) else math.nan for energy in energies]
    return {int(row["sample"]): (energy, row["reason"]) for row, energy in zip(rows, finite, strict=True)}


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
