"""What the report takes from YAML and JSON files, with the types that it counts on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cryingan.evaluation.comparison import read_evaluation
from cryingan.samples.folder import read_summary
from cryingan.storage.fraction_keys import current_key

TEXT, NUMBER = (str,), (int, float)
RECORD_TYPES = dict.fromkeys(("command", "version", "commit", "model", "failed", "data_sha256"), TEXT)
SETTING_TYPES = {"model._target_": TEXT, "trainer.max_epochs": (int,)}
SETTING_TYPES |= dict.fromkeys(("callbacks.relax.n_samples", "callbacks.quality.n"), (int,))
SUMMARY_TYPES = {"training": (dict,), "random": (dict,), "zero_ev_per_atom": NUMBER, "factor": NUMBER}
SUMMARY_TYPES |= {"samples": (int,), **dict.fromkeys(("unit", "potential", "potential_hash"), TEXT)}
SUMMARY_KEYS = ("samples", "unit", "potential", "potential_hash")
ENDS = dict.fromkeys(("value", "low", "high"), NUMBER)


def flat(settings: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Settings in groups by the keys of the command line; lists as they are.

    >>> flat({"seed": 1, "model": {"betas": [0.5, 0.9], "ema": 0.0}})
    {'seed': 1, 'model.betas': [0.5, 0.9], 'model.ema': 0.0}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def settings_in(path: Path) -> dict[str, Any]:
    """The settings of a config.yaml, by key of the command line."""
    return checked(flat(checked(yaml.safe_load(path.read_text()))), SETTING_TYPES)


def record_in(path: Path) -> dict[str, Any]:
    """The content of a run.json."""
    return checked(json.loads(path.read_bytes()), RECORD_TYPES)


def relaxed_in(folder: Path) -> dict[str, Any] | None:
    """The content of the relaxed.json of a folder; None where its samples have not been relaxed."""
    content = read_summary(folder)
    return content if content is None else checked(content, SUMMARY_TYPES, SUMMARY_KEYS)


def evaluation_in(folder: Path) -> dict[str, Any]:
    """The content of the metrics.json of an evaluation."""
    content = checked(read_evaluation(folder), {"benchmark": TEXT, "failures": (dict,)}, ("benchmark",))
    checked(content.get("counts"), {"accepted": (int,), "refused": (int,), "drawn": (int,)}, ("accepted",))
    checked(content["provenance"].get("reference"), {"sha256": TEXT, "path": TEXT}, ("sha256", "path"))
    for score in content.values():
        if isinstance(score, dict):
            checked(score, ENDS)
    return content


def checked(
    content: Any, types: Mapping[str, tuple[type, ...]] | None = None, needed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A mapping whose values have the types of their keys; None, or no value, is one, too, unless it is needed.

    Raises:
        TypeError: names the key.
        KeyError: a key is missing.
    """
    if not isinstance(content, dict):
        raise TypeError(f"{str(content)[:20]!r} stands where keys and values should be")
    for key, kinds in (types or {}).items():
        value = content[key] if key in needed else content.get(key)
        if (value is None and key in needed) or not isinstance(value, (*kinds, type(None))):
            raise TypeError(f"{key} is {str(value)[:20]!r}, not {' or '.join(kind.__name__ for kind in kinds)}")
    return content


def numbers_in(values: Any) -> dict[str, float]:
    """The finite numbers of a mapping, by key as it is named today."""
    numbers = {key: value for key, value in checked(values).items() if isinstance(value, int | float)}
    return {current_key(name): float(value) for name, value in numbers.items() if math.isfinite(value)}
