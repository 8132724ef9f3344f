"""The results of a run: the last and the best value of every key, with intervals of shares of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cryingan.energies.fractions import QUANTILES, wilson
from cryingan.report.runs import Run
from cryingan.storage.fraction_keys import DISTINCT, FRACTION, mode_of, random_key, threshold_in

TITLES = {
    "relax/f1": "relaxed: F1",
    "relax/precision": "relaxed: precision",
    "relax/recall": "relaxed: recall",
    "relax/coverage": "relaxed: coverage",
    "relax/distinct_minima": "relaxed: distinct minima per sample",
    "relax/energy": "relaxed: mean energy",
    "relax/kolmogorov_smirnov": "relaxed: Kolmogorov-Smirnov, energies",
    "relax/failed": "relaxation failed",
    "relax/unconverged": "relaxation did not converge",
    "relax/out_of_time": "relaxation ran out of time",
    "samples/f1": "F1",
    "samples/precision": "precision",
    "samples/recall": "recall",
    "samples/coverage": "coverage",
    "samples/close_pairs": "close pairs per structure",
    "samples/neighbor_distance_error": "neighbour-distance error (Å)",
    "samples/distance": "distance between samples (Å)",
    "samples/nearest_training": "nearest training structure (Å)",
    "alloy/formation_energy_error": "formation-energy error (eV/atom)",
    "alloy/sro_error": "short-range-order error",
    "val/loss": "loss of held-out structures",
    "train/loss": "loss of the network",
    "train/score_difference": "difference of mean scores",
}
"""Keys of metrics.csv that are shown, in this order, those of energies behind the first four."""
MAIN = ("relax/f1", "relax/precision", "relax/recall", "relax/coverage", "samples/f1", "samples/precision")
MAIN += ("samples/recall", "samples/coverage", "samples/close_pairs", "val/loss")
SHARES = (
    "/precision",
    "/failed",
    "/unconverged",
    "/out_of_time",
)  # of samples; recall and coverage are those of training structures
SAMPLES = {"relax": "callbacks.relax.n_samples", "samples": "callbacks.quality.n"}
MOST = 1000  # relaxed samples, the first ones, that are compared by place
ANSWERS = ("relax/f1", "relax/distinct_below_0", "samples/f1", "val/loss", "samples/close_pairs")


@dataclass(frozen=True)
class Value:
    """A value, its epoch counted from 1, and the 95 % interval; NaN where there is none."""

    value: float
    epoch: int
    low: float = np.nan
    high: float = np.nan


def title_of(key: str, unit: str = "") -> str:
    """A key in words."""
    if (threshold := threshold_in(key)) is not None:
        return f"relaxed to {threshold} {unit or 'or'} {'or ' if unit else ''}below"
    if key.startswith(DISTINCT):
        threshold = threshold_in(FRACTION + key.removeprefix(DISTINCT))
        return f"distinct minima to {threshold} {unit or 'or'} {'or ' if unit else ''}below, per sample"
    titles = {random_key(percent): f"relaxed below {percent} % of random" for percent in QUANTILES}
    title = {**TITLES, **titles}.get(key, key)
    return f"{title} ({unit})" if unit and key == "relax/energy" else title


def keys_of(runs: Sequence[Run]) -> list[str]:
    """The keys that are shown of runs, those that any of them has, in order."""
    found = {key for run in runs for key in run.curves}
    below = sorted((key for key in found if threshold_in(key) is not None), key=lambda key: -float(threshold_in(key)))
    below += sorted(key for key in found if key.startswith(DISTINCT))
    below += [random_key(percent) for percent in QUANTILES]
    named = list(TITLES)
    return [key for key in [*named[:4], *below, *named[4:]] if key in found]


def is_main(key: str) -> bool:
    """Whether a key is among those that are shown at first."""
    return key in MAIN or key.startswith(FRACTION)


def unit_of(runs: Sequence[Run]) -> str:
    """The unit of the energies; empty where runs have several, or none."""
    units = {one.summary["unit"] for run in runs for one in run.relaxed if one.summary}
    return units.pop() if len(units) == 1 else ""


def last_value(run: Run, key: str) -> Value | None:
    """The last value of a key that is a number; None without one."""
    return _value(run, key, lambda finite: len(finite) - 1)


def last_number(run: Run, key: str) -> float:
    """The last value of a key; NaN without one."""
    found = last_value(run, key)
    return np.nan if found is None else found.value


def best_value(run: Run, key: str) -> Value | None:
    """The best value of a key, the last of equal ones; None without one, and where it is not clear what is good."""
    sign = {"max": 1, "min": -1, None: 0}[mode_of(key)]
    return _value(run, key, lambda finite: len(finite) - 1 - int(np.argmax(sign * finite[::-1]))) if sign else None


def _value(run: Run, key: str, place: Callable[[np.ndarray], int]) -> Value | None:
    epochs, values = run.curves.get(key, (np.empty(0), np.empty(0)))
    kept = np.isfinite(values)
    if not kept.any():
        return None
    at = place(values[kept])
    epoch, value = int(epochs[kept][at]), float(values[kept][at])
    return Value(value, epoch, *_interval(run, key, epoch, value))


def _interval(run: Run, key: str, epoch: int, value: float) -> tuple[float, float]:
    """The interval that was logged, or that of a share of samples."""
    ends = []
    for end in ("low", "high"):
        epochs, values = run.curves.get(f"{key}_{end}", (np.empty(0), np.empty(0)))
        ends += values[epochs == epoch].tolist()[:1]
    if len(ends) == 2:
        return ends[0], ends[1]
    samples = samples_of(run, key, epoch) if key.endswith(SHARES) and 0 <= value <= 1 else None
    if not samples:
        return np.nan, np.nan
    share = wilson(round(value * samples), samples)
    return share.low, share.high


def samples_of(run: Run, key: str, epoch: int) -> int | None:
    """How many samples a value is of; None where it is unknown."""
    group = key.partition("/")[0]
    if group == "relax":
        counts = [one.summary["samples"] for one in run.relaxed if one.summary and one.epoch == epoch]
        if counts:
            return min(counts[0], MOST) if key == "relax/precision" else counts[0]
    return run.settings.get(SAMPLES.get(group, ""))
