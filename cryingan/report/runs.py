"""Runs as their folders tell of them: settings, curves, relaxed samples, evaluations, and how each ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.models.registry import MODELS

SETTINGS, METRICS, SUMMARY = "config.yaml", "metrics.csv", "summary.json"

Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class RelaxedSamples:
    """The samples of one epoch that were to be relaxed.

    Attributes:
        folder: where.
        epoch: finished epochs; 0 is the untrained generator.
        summary: content of relaxed.json; None where they have not been relaxed.
        error: why that was given up.
    """

    folder: Path
    epoch: int
    summary: Mapping[str, Any] | None
    error: str | None


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        folder: the run folder.
        settings: by key of the command line, such as `model.channels`.
        curves: by key of metrics.csv the epochs, counted from 1, and values.
        relaxed: by epoch.
        outcomes: of `last_relaxed` by sample the energy, NaN for none, and how the relaxation ended.
        beside: energies that these are drawn beside, by set: `training`, `random`.
        training: values of the training set, by key.
        random: of random structures.
        record: content of run.json.
        times: epochs, counted from 1, and the seconds of training at their end.
        evaluations: of samples in the run folder: content of metrics.json by folder.
        unread: why parts could not be read.
    """

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    relaxed: Sequence[RelaxedSamples] = ()
    outcomes: Mapping[int, tuple[float, str]] = field(default_factory=dict)
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    training: Mapping[str, float] = field(default_factory=dict)
    random: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    times: Curve = (np.empty(0), np.empty(0))
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unread: Sequence[str] = ()

    @property
    def model(self) -> str:
        """The option of the group `model`; of runs that did not write it the kind of model.

        Those of version 0.1.0, whose settings name none, are of CryinGAN.
        """
        if self.record.get("model"):
            return self.record["model"]
        target = self.settings.get("model._target_", MODELS["cryingan"].target)
        return next((kind for kind, entry in MODELS.items() if entry.target == target), target.rpartition(".")[2])

    @property
    def data(self) -> str:
        """Path of the training structures."""
        return str(self.settings.get("data.path", "unknown"))

    @cached_property
    def epochs(self) -> int:
        """Finished epochs."""
        return int(max((epochs[-1] for epochs, _ in self.curves.values() if len(epochs)), default=0))

    @property
    def state(self) -> str:
        """How the run ended, in words."""
        planned = self.settings.get("trainer.max_epochs")
        if self.record.get("failed"):
            return f"failed: {self.record['failed']}"
        if self.unread:
            return f"cannot be read: {self.unread[0]}"
        if not self.epochs:
            return "no epoch is finished"
        if planned is not None and self.epochs < planned:
            return f"not finished: {self.epochs} of {planned} epochs"
        return "finished"

    @property
    def last_relaxed(self) -> RelaxedSamples | None:
        """The newest samples of the training that have been relaxed."""
        return newest_relaxed(self.relaxed)

    @property
    def relaxation(self) -> str:
        """Whether samples have been relaxed, in words; empty where they have."""
        if self.last_relaxed is not None:
            return ""
        if errors := [one.error for one in self.relaxed if one.error]:
            return f"failed: {errors[-1]}"
        return "relaxation is not finished" if self.relaxed else "not relaxed"


def newest_relaxed(relaxed: Sequence[RelaxedSamples]) -> RelaxedSamples | None:
    """The newest of several samples of a training that have been relaxed."""
    return next((one for one in reversed(relaxed) if one.summary and one.epoch), None)


def find_runs(folder: str | Path) -> list[Path]:
    """The run folders in a folder, at any depth, by name; the folder itself where it is one.

    Raises:
        CryinGANError: it is not there, or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file; give a folder of runs" if folder.exists() else "is not there"
        raise CryinGANError(f"report={folder}: it {what}")
    found = []
    for path, folders, files in os.walk(folder):
        if {SETTINGS, METRICS} & set(files):
            found.append(Path(path))
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "wandb")
    if not found:
        raise CryinGANError(f"report={folder}: no run is in it; run folders have a {SETTINGS}")
    return found
