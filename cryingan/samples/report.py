"""Results of relaxing samples: the logged values, a row per sample, figures and pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.energies.fractions import QUANTILES, fractions_below
from cryingan.energies.scale import Energies
from cryingan.relaxation.relax import RelaxationResults
from cryingan.relaxation.repair import RepairLog
from cryingan.samples.folder import ENERGIES, FIGURE, MOLECULES, PICTURES, REFERENCE
from cryingan.storage.atomic import make_folder, replace_file
from cryingan.storage.fraction_keys import OUT_OF_TIME, fraction_key, random_key, threshold_in
from cryingan.structures.contacts import contact_text
from cryingan.structures.crystals import Crystals

COMPARED = {
    "relax/precision": "precision",
    "relax/recall": "recall",
    "relax/f1": "F1",
    "relax/coverage": "coverage",
    "relax/distance": "distance between samples",
    "relax/nearest_training": "from the nearest training structure",
    "relax/distinct_minima": "distinct minima per sample",
    "relax/kolmogorov_smirnov": "Kolmogorov-Smirnov distance of energies",
    **{random_key(percent): f"below {percent} % of random structures" for percent in QUANTILES},
}
"""Values of relaxed samples that stand beside those of the training set, and how they are printed."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Samples, and the results of repairing and relaxing them.

    Attributes:
        samples: as they were generated.
        repairs: of all samples.
        results: of the samples that could be repaired.
        energies: of `results`, on the scale of the data; NaN where unconverged.
        thresholds: in the unit of the energies.
    """

    samples: Crystals
    repairs: RepairLog
    results: RelaxationResults
    energies: Energies
    thresholds: tuple[float, ...]

    def values(self) -> dict[str, float]:
        """The numbers that are logged, by name; `relax/failed` and the like are fractions of all samples.

        - `relax/fraction_below_<threshold>`, `..._low`, `..._high`: samples whose relaxation converged at or below the
          threshold, and the 95 % interval (Wilson's)
        - `relax/failed`: could not be repaired, exploded, not finite or too close; `relax/unconverged`: anything else
          that did not converge, lack of time included, which `relax/out_of_time` has alone
        - `relax/energy`, `relax/energy_median`: of the converged, in the unit of the data; `relax/energy_drop`: mean
          gain of the converged, eV/atom; none of the three where nothing converged
        - `relax/steps`: mean of all that were started
        - `..._low`, `..._high` of these four: the 95 % interval (pivotal bootstrap); none of fewer than two samples
        - `relax/contacts`: fraction of the converged with anions that are too close
          (`cryingan.structures.contacts.contacts`); none where nothing converged, or where these are not checked
        - `relax/close_pairs`: before repair, per sample
        """
        n, results = len(self.samples), self.results
        values = {}
        for threshold, fraction in fractions_below(self.energies.values, n, self.thresholds).items():
            name = fraction_key(threshold)
            values |= {name: fraction.value, f"{name}_low": fraction.low, f"{name}_high": fraction.high}
        failed = n - len(results) + int(results.failed.sum())
        values["relax/failed"] = failed / n
        values["relax/unconverged"] = (n - failed - int(results.converged.sum())) / n
        values[OUT_OF_TIME] = self.out_of_time / n
        values["relax/close_pairs"] = float(self.repairs.close_pairs.mean())
        ended = [found for found, good in zip(results.contacts, results.converged, strict=True) if good]
        checked = [found for found in ended if found is not None]
        if checked:
            values["relax/contacts"] = sum(map(bool, checked)) / len(checked)
        return values | self._averages()

    @property
    def out_of_time(self) -> int:
        """The number of samples whose relaxation ended because its time was over."""
        return int((self.results.reason == "time").sum())

    def _averages(self) -> dict[str, float]:
        """Means and the median over samples, with the ends of their intervals where there are at least two samples."""
        from cryingan.metrics.bootstrap import mean_interval, median_interval

        results, values = self.results, {}
        drops = (results.energy_initial - results.energy_final)[results.converged] / len(self.samples.species)
        energies = self.energies.values[results.converged]
        for name, average, samples in (
            ("relax/steps", mean_interval, results.steps[results.evaluations > 0]),
            ("relax/energy", mean_interval, energies),
            ("relax/energy_median", median_interval, energies),
            ("relax/energy_drop", mean_interval, drops),
        ):
            if len(samples):
                interval = average(samples)
                values[name] = interval.value
                values |= {f"{name}_low": interval.low, f"{name}_high": interval.high} if len(samples) > 1 else {}
        return values

    def before_and_after(self, sample: int) -> tuple[Crystals, list[str]]:
        """A sample, its relaxed structure where it was relaxed, and what each of them is."""
        at = np.flatnonzero(self.results.samples == sample)
        if not len(at):
            return self.samples[[sample]], ["not repaired"]
        fractional = np.stack([self.samples.fractional[sample], self.results.crystals.fractional[at[0]]])
        reason = str(self.results.reason[at[0]])
        titles = ["generated", "relaxed" if reason == "converged" else reason.replace("_", " ")]
        return Crystals(fractional, self.samples.cell, self.samples.species), titles


def write_rows(outcome: Outcome, folder: Path) -> None:
    """Write energies.csv: a row per sample, those that could not be repaired included.

    Where there is no number the field is empty, and `reason` says why; `not_repaired` and `not_finite` without any
    numbers belong to samples that were never relaxed.
    """
    from pandas import DataFrame

    results, n_atoms = outcome.results, len(outcome.samples.species)
    relaxed = {
        "energy_per_atom_initial": results.energy_initial / n_atoms,
        "energy_per_atom": results.energy_final / n_atoms,
        "energy": outcome.energies.values,
        "unit": outcome.energies.unit,
        "steps": results.steps,
        "fmax": results.fmax,
        "converged": results.converged,
        "reason": results.reason,
        "contacts": list(map(contact_text, results.contacts)),
        "potential": outcome.energies.potential.name,
    }
    table = DataFrame({"close_pairs": outcome.repairs.close_pairs}).join(DataFrame(relaxed, index=results.samples))
    finite = np.isfinite(outcome.samples.fractional).all(axis=(1, 2))
    table["reason"] = table["reason"].where(table["reason"].notna(), np.where(finite, "not_repaired", "not_finite"))
    table["converged"] = table["converged"].eq(True)
    table["steps"] = table["steps"].astype("Int64")  # whole numbers also beside empty fields
    with replace_file(folder / ENERGIES) as file:
        file.write(table.to_csv(index_label="sample", lineterminator="\n").encode())


def write_reference(folder: Path, training: np.ndarray | None, random: np.ndarray | None) -> None:
    """Write reference_energies.csv: a row per training structure and per random one, in the unit of energies.csv.

    Args:
        folder: where.
        training: energies as `draw` takes them.
        random: likewise.
    """
    lines = ["set,energy"]
    for name, energies in (("training", training), ("random", random)):
        lines += [] if energies is None else [f"{name},{energy!r}" for energy in energies.tolist()]
    with replace_file(folder / REFERENCE) as file:
        file.write(("\n".join(lines) + "\n").encode())


def draw(
    outcome: Outcome,
    folder: Path,
    pictures: int,
    molecules: int,
    training: np.ndarray | None,
    random: np.ndarray | None,
) -> None:
    """Write energies.png, and the first samples before and after as pictures/<sample>.png and molecules/*.pdb.

    Samples with coordinates that are not finite have no picture.

    Args:
        outcome: what to draw.
        folder: where.
        pictures: how many samples are drawn.
        molecules: how many are written as PDB, which viewers can turn.
        training: energies of training structures in the same unit, shape (structures,); None where there are none.
        random: of random structures, NaN where one has none, likewise.
    """
    from ase.io import write

    from cryingan.plots.energies import energy_figure
    from cryingan.plots.structures import structure_figure
    from cryingan.plots.style import save_figure

    energies, n = outcome.energies, len(outcome.samples)
    relaxed = energies.values[outcome.results.converged]
    shown = {"random": random, "out_of_time": outcome.out_of_time}
    figure = energy_figure(relaxed, training, n, energies.unit, outcome.thresholds, **shown)
    save_figure(figure, folder / FIGURE)
    finite = np.isfinite(outcome.samples.fractional).all(axis=(1, 2))  # others cannot be drawn
    for sample in np.flatnonzero(finite[:pictures]).tolist():
        path = make_folder(folder / PICTURES) / f"{sample:06d}.png"
        save_figure(structure_figure(*outcome.before_and_after(sample)), path)
    for sample in np.flatnonzero(finite[:molecules]).tolist():
        pair, _ = outcome.before_and_after(sample)
        for atoms, state in zip(pair.to_ase(), ("before", "after"), strict=False):
            text = io.StringIO()
            write(text, atoms, format="proteindatabank")
            with replace_file(make_folder(folder / MOLECULES) / f"{sample:06d}_{state}.pdb") as file:
                file.write(text.getvalue().encode())


def summary_line(summary: dict[str, Any]) -> str:
    """The fractions in the summary of a folder, on one line."""
    values, unit = summary["values"], summary["unit"]
    absolute = {name: threshold for name in values if (threshold := threshold_in(name)) is not None}
    below = [
        f"{values[name]:.1%} at or below {threshold} {unit}"
        f" ({values[f'{name}_low']:.1%} to {values[f'{name}_high']:.1%})"
        for name, threshold in absolute.items()
    ]
    sets = {"random structures": summary.get("random", {}), "training set": summary.get("training", {})}
    shares = {name: [f"{of[key]:.1%}" for key in absolute if key in of] for name, of in sets.items()}
    compared = "".join(f" ({name}: {', '.join(found)})" for name, found in shares.items() if found)
    lost = f"{values['relax/failed']:.1%} failed, {values['relax/unconverged']:.1%} unconverged"
    if (late := out_of_time(summary)) is not None:
        lost += f", of which {late}"
    if values.get("relax/contacts"):
        lost += f", {values['relax/contacts']:.1%} of the converged with anions too close (contacts in {ENERGIES})"
    if {"relax/steps", "relax/energy_drop"} <= values.keys():  # as in Tables S2 and S3 of the paper
        lost += f", {values['relax/steps']:.0f} steps and {1000 * values['relax/energy_drop']:.0f} meV/atom lower"
    return f"{summary['samples']} samples: {', '.join(below)}{compared}{', ' if below else ''}{lost}"


def out_of_time(summary: dict[str, Any]) -> str | None:
    """How many samples of a folder ran out of time, and of which; None where all had enough."""
    late, budget = summary["values"].get(OUT_OF_TIME), summary.get("time_budget")
    if not late:
        return None
    limit = f"relax.time_budget={budget:g} s" if budget else "time"
    return f"{late * summary['samples']:.0f} of {summary['samples']} ran out of {limit}"


def comparison_line(summary: dict[str, Any]) -> str | None:
    """Relaxed samples beside the training set, on one line; None in folders of earlier versions."""
    values, training = summary["values"], summary.get("training", {})
    found = [
        f"{title} {values[key]:.3g}{f' ({training[key]:.3g})' if key in training else ''}"
        for key, title in COMPARED.items()
        if key in values
    ]
    if not found:
        return None
    beside = " (of the training set in brackets)" if any(key in training for key in COMPARED if key in values) else ""
    return f"relaxed samples{beside}: {', '.join(found)}"
