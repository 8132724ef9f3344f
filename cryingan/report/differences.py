"""Which settings differ between runs, and the groups of runs that differ by the seed only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryingan.report.runs import Run

FIRST = ("model", "lambda", "pooling")
SEED = "seed"
GROUPS = ("model.warm_start", "model.", "data.", "trainer.", "relax.", "potential.", "callbacks.")
ELSEWHERE = {"model._target_": "model", "model.distance_weight": "lambda", "model.pooling": "pooling"}
"""Keys that are columns of their own, or whose values stand there."""
UNKNOWN = "settings unknown ({})"
HOW_IT_RUNS = ("run_dir", "logger.", "resume", "threads", "replicas", "lambdas", "objective", "callbacks.progress.")
HOW_IT_RUNS += ("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.max_time", "relax.processes")


@dataclass(frozen=True)
class Group:
    """Runs of one setting, or of one model; `label` is what tells it from the others."""

    label: str
    values: Mapping[str, str]
    runs: Sequence[Run]

    @property
    def model(self) -> str:
        """Name of the model, which all its runs share."""
        return self.runs[0].model


def values_of(run: Run) -> dict[str, Any]:
    """The settings that decide what a run learns; `lambda` and `pooling` of models that have them only."""
    settings, has = run.settings, {"lambda": "model.distance_weight", "pooling": "model.pooling"}
    values: dict[str, Any] = {"model": run.model}
    for key in FIRST[1:]:
        if key in settings and ("model._target_" not in settings or has[key] in settings):
            values[key] = settings[key]
    folder = str(settings.get("run_dir"))
    rest = {
        key: value
        for key, value in settings.items()
        if not key.startswith(HOW_IT_RUNS) and not (isinstance(value, str) and value.startswith(folder))
    }
    return values | {key: value for key, value in rest.items() if key not in {*FIRST, *ELSEWHERE, "model.seed"}}


def differing(runs: Sequence[Run]) -> list[str]:
    """The keys in which runs differ, those that matter most first, the seed last.

    A key that tells runs of a model apart as an earlier one does was set by it or with it, and is left out (see
    `differing_with`); so is one that differs between models only.
    """
    runs = [run for run in runs if run.settings]  # of others nothing is known
    several = len({run.model for run in runs}) > 1
    seeded = len({_text(values_of(run).get(SEED)) for run in runs}) > 1
    return [*(["model"] if several else []), *differing_with(runs), *([SEED] if seeded else [])]


def differing_with(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The keys in which runs of a model differ, but for the seed, with those that tell the runs apart as they do."""
    runs = [run for run in runs if run.settings]  # of others nothing is known
    values = [values_of(run) for run in runs]
    names = sorted({key for one in values for key in one} - {SEED, "model"}, key=_place)
    of_models = _partition(run.model for run in runs)
    found: dict[tuple[int, ...], list[str]] = {}
    for key in names:
        partition = _partition(f"{one['model']} {_text(one.get(key))}" for one in values)
        if partition != of_models:
            found.setdefault(partition, []).append(key)
    return {first: others for first, *others in found.values()}


def grouped(runs: Sequence[Run], keys: Sequence[str]) -> list[Group]:
    """Groups of runs that have the same values of some keys, in the order of `keys`."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        values = values_of(run) if run.settings else {"model": UNKNOWN.format(run.folder.name)}
        groups.setdefault(tuple(_text(values.get(key)) for key in keys), []).append(run)
    ordered = sorted(groups.items(), key=lambda group: [_sortable(text) for text in group[0]])
    return [_group(dict(zip(keys, texts, strict=True)), of) for texts, of in ordered]


def settings_of(runs: Sequence[Run]) -> list[Group]:
    """Groups of runs that differ by the seed only."""
    keys = [key for key in differing(runs) if key != SEED]
    return grouped(runs, keys if all(run.settings for run in runs) else list(dict.fromkeys(["model", *keys])))


def models_of(runs: Sequence[Run]) -> list[Group]:
    """Groups of runs of one model each."""
    return grouped(runs, ["model"])


def text_of(run: Run, key: str) -> str:
    """The value of a key in words; empty where the model has none."""
    return _text(values_of(run).get(key))


def label_of(values: Mapping[str, str]) -> str:
    """Settings in words, without those that a model does not have."""
    named = {key: text for key, text in values.items() if text}
    return ", ".join(text if key == "model" else f"{key.rpartition('.')[2]}={text}" for key, text in named.items())


def number_in(text: str) -> float | None:
    """The number that a value is; None for words, and for what is not finite."""
    try:
        return value if math.isfinite(value := float(text)) else None
    except ValueError:
        return None


def _group(values: dict[str, str], runs: Sequence[Run]) -> Group:
    return Group(label_of(values) or runs[0].model, values, runs)


def _place(key: str) -> tuple[int, int, str]:
    first = FIRST.index(key) if key in FIRST else len(FIRST)
    group = next((number for number, name in enumerate(GROUPS) if key.startswith(name)), -1)
    return first, group, key


def _partition(values: Iterable[str]) -> tuple[int, ...]:
    """Which runs have the same value, whatever it is."""
    first: dict[str, int] = {}
    return tuple(first.setdefault(value, len(first)) for value in values)


def _text(value: Any) -> str:
    return "" if value is None else str(value).replace(" ", "")


def _sortable(text: str) -> tuple[bool, float, str]:
    value = number_in(text)
    return (True, 0.0, text) if value is None else (False, value, text)
