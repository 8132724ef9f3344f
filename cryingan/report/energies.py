"""Relaxed energies of the newest samples of every setting, beside the training set and random structures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cryingan.plots.energies import energy_limits, number_of_bins
from cryingan.plots.series import Series
from cryingan.report.charts import Chart
from cryingan.report.differences import settings_of
from cryingan.report.runs import Run

SCALE = ("unit", "potential", "potential_hash", "zero_ev_per_atom", "factor")


@dataclass(frozen=True, eq=False)
class Energies:
    """Energies, NaN for none, and how many of them there are."""

    values: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """Those that are numbers."""
        return self.values[np.isfinite(self.values)]


def energy_charts(runs: Sequence[Run]) -> Iterator[Chart]:
    """A histogram of energies for each energy scale, as energies of two potentials cannot be compared."""
    scales: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        if run.last_relaxed is not None and run.outcomes:
            summary = run.last_relaxed.summary
            rounded = (round(value, 6) if isinstance(value, float) else value for value in map(summary.get, SCALE))
            scales.setdefault(tuple(rounded), []).append(run)
    labels = {id(run): group.label for group in settings_of(runs) for run in group.runs}
    for number, ((unit, potential, digest, zero, _), of_scale) in enumerate(scales.items()):
        generated: dict[str, list[np.ndarray]] = {}
        for run in of_scale:
            generated.setdefault(labels[id(run)], []).append(np.array([energy for energy, _ in run.outcomes.values()]))
        sets = {label: Energies(np.concatenate(parts)) for label, parts in generated.items()}
        beside = {name: Energies(values) for name, values in _references(of_scale).items()}
        name = "energies" if not number else f"energies_{number + 1}"
        title = f"relaxed energies, {potential} ({str(digest)[:12]})"
        title += f", zero at {zero:.6g} eV/atom" if len(scales) > 1 and zero is not None else ""
        yield Chart(name, title, f"energy ({unit})", _histograms(sets, beside), {}, _note(sets), steps=True)


def _references(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    titles = {"training": "training set", "random": "random structures"}
    found = next(filter(None, (run.beside for run in runs)), {})
    return {titles.get(name, name): values for name, values in found.items()}


def _histograms(sets: Mapping[str, Energies], beside: Mapping[str, Energies]) -> dict[str, Series]:
    """Percent of all structures of each set per bin; NaN energies count as structures."""
    training = beside.get("training set", Energies(np.empty(0))).finite
    together = np.concatenate([one.finite for one in sets.values()])
    low, high = energy_limits(training, together, ())
    edges = np.linspace(low, high, number_of_bins(len(together)) + 1)
    series = {}
    for label, one in {**beside, **sets}.items():
        share = np.histogram(one.finite, edges)[0] / max(len(one.values), 1) * 100
        series[label] = Series(edges, np.append(share, 0.0))
    return series


def _note(sets: Mapping[str, Energies]) -> str:
    """How many samples there are, and how many have no energy."""
    texts = []
    for label, one in sets.items():
        lost = len(one.values) - len(one.finite)
        texts.append(f"{label}: {len(one.values)} samples" + (f", {lost} without energy" if lost else ""))
    return "percent of all structures of a set; " + "; ".join(texts)


def failures(run: Run) -> dict[str, int]:
    """How the newest relaxations of a run ended, by reason."""
    return dict(Counter(reason for _, reason in run.outcomes.values()))
