"""Summary of a run: a table, a file and a figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.table import Table

from callbacks.epochs import find
from callbacks.relax_samples import RelaxSamples
from callbacks.sample_quality import SampleQuality
from cryingan.energies.fractions import QUANTILES
from cryingan.metrics.coverage import NEIGHBORS as NEAREST
from cryingan.plots.style import save_figure
from cryingan.plots.training import training_figure
from cryingan.samples.folder import FIGURE as ENERGIES
from cryingan.samples.report import out_of_time
from cryingan.storage.atomic import write_json
from cryingan.storage.fraction_keys import OUT_OF_TIME, fraction_key, random_key, threshold_in

ROWS = {
    "samples/close_pairs": "close pairs (< 1.5 Å) per structure",
    "samples/neighbor_distance_error": "neighbour-distance error (Å)",
    "samples/distance": "distance between two samples (Å)",
    "samples/precision": "precision: samples like training structures",
    "samples/recall": "recall: training structures like samples",
    "samples/f1": "F1 score of these two",
    "samples/coverage": "coverage of the training structures",
    "samples/nearest_training": "distance from the nearest training structure (Å)",
    "samples/dimension": "dimension of the manifold of samples",
    "alloy/vacancies": "lattice sites left empty",
    "alloy/formation_energy_error": "formation-energy error (eV/atom)",
    "alloy/sro_error": "short-range-order error",
}
RELAXED = {
    "relax/precision": "relaxed: precision",
    "relax/recall": "relaxed: recall",
    "relax/f1": "relaxed: F1 score",
    "relax/coverage": "relaxed: coverage",
    "relax/distance": "relaxed: distance between samples (Å)",
    "relax/nearest_training": "relaxed: nearest training structure (Å)",
    "relax/dimension": "relaxed: dimension of the manifold",
    "relax/distinct_minima": "relaxed: distinct minima per sample",
    "relax/unseen_minima": "relaxed: chance of a new minimum",
    "relax/kolmogorov_smirnov": "relaxed: Kolmogorov-Smirnov, energies",
}


class Summary(Callback):
    """Prints, at the end, the sample quality before and after training and of random structures, and where files are.

    Writes summary.json (the numbers) and training.png (curves) into the run folder. Logs nothing.

    Args:
        run_dir: the run folder.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = Path(run_dir)
        self.trained = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that this job has done something."""
        self.trained = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Print and write, unless a run that had ended before has done so and nothing is new.

        After `on_fit_end`, in which relaxations of a run that had ended are completed.
        """
        if not trainer.is_global_zero:
            return
        quality = find(trainer, SampleQuality)
        if quality is not None and quality.after and not self._written(trainer):
            self._summarise(trainer, quality)
        elif quality is None and self.trained:
            self._print_files()

    def _summarise(self, trainer: Trainer, quality: SampleQuality) -> None:
        measured = {quality.random_title: quality.random, "untrained": quality.before, "trained": quality.after}
        measured |= {"training set": quality.training} if quality.training else {}
        columns = {heading: dict(values) for heading, values in measured.items()}
        relax = find(trainer, RelaxSamples)
        untrained, trained = relax.summaries() if relax else (None, None)
        rows = {**ROWS, **(_add_relaxed(columns, relax, untrained, trained) if trained else {})}
        result = {"epochs": trainer.current_epoch, "samples": quality.n, **columns}
        write_json(self.run_dir / "summary.json", _defined(result))
        figure = training_figure(
            self.run_dir / "metrics.csv",
            quality.random | (trained or {}).get("random", {}),
            quality.random_title,
            columns.get("training set"),
            columns["untrained"],
            (trained or {}).get("unit", ""),
        )
        save_figure(figure, self.run_dir / "training.png")
        self._print(f"{quality.n} samples after {trainer.current_epoch} epochs", rows, columns)

    def _written(self, trainer: Trainer) -> bool:
        """Whether this job has logged nothing, and an earlier one has ended with summary and figure."""
        summary, figure = self.run_dir / "summary.json", self.run_dir / "training.png"
        if trainer.callback_metrics or not (summary.exists() and figure.exists()):
            return False
        return json.loads(summary.read_bytes())["epochs"] == trainer.current_epoch

    def _print(self, title: str, rows: dict[str, str], columns: dict[str, dict[str, float]]) -> None:
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for heading in columns:
            table.add_column(heading, justify="right")
        for key, name in rows.items():
            if key in columns["trained"]:
                table.add_row(name, *(_text(values[key]) if key in values else "" for values in columns.values()))
        Console(width=None if Console().is_terminal else 120).print(table)
        if any(math.isnan(value) for value in columns["trained"].values()):
            print(f"undefined: what compares structures of the region needs more than {NEAREST} (callbacks.quality.n)")
        self._print_files()

    def _print_files(self) -> None:
        console = Console()
        for what, path in self._files():
            console.print(f"{what:<11} {path}", soft_wrap=True, highlight=False)

    def _files(self) -> list[tuple[str, Path]]:
        samples = sorted((self.run_dir / "samples").glob("*.extxyz"))
        wandb_runs = sorted((self.run_dir / "wandb").glob("offline-run-*"))
        found, figure = [("run folder", self.run_dir)], self.run_dir / "training.png"
        found += [("figure", figure)] if figure.exists() else []
        found += [("samples", samples[-1])] if samples else []
        energies = sorted((self.run_dir / "relaxed").glob(f"epoch_*[0-9]/{ENERGIES}"))
        found += [("energies", energies[-1])] if energies else []
        found += [("W&B offline", wandb_runs[-1])] if wandb_runs else []
        return [*found, ("checkpoint", self.run_dir / "checkpoints" / "last.ckpt")]


def _add_relaxed(
    columns: dict[str, dict[str, float]],
    relax: RelaxSamples,
    untrained: dict[str, Any] | None,
    trained: dict[str, Any],
) -> dict[str, str]:
    """Add the values of relaxed samples to the columns; return the names of the rows."""
    drawn = "" if relax.temperature == 1 else f" at temperature {relax.temperature:g}"
    rows = {"relax/failed": f"share of {trained['samples']} samples{drawn} whose relaxation failed"}
    if any(of and out_of_time(of) for of in (untrained, trained)):
        rows[OUT_OF_TIME] = "share that ran out of relax.time_budget: counted as high"
    for key in map(fraction_key, relax.thresholds):
        rows[key] = f"relaxed to {threshold_in(key)} {trained['unit']} or below"
        if key in trained.get("random", {}):
            rows[key] += f" (random structures: {trained['random'][key]:.2g})"
    for percent, key in ((percent, random_key(percent)) for percent in QUANTILES):
        if key in trained.get("quantiles", {}):
            rows[key] = f"below {percent} % of random ({trained['quantiles'][key]:.2f} {trained['unit']})"
    rows |= RELAXED
    of_training = {"values": trained.get("training", {})}
    for heading, summary in (("untrained", untrained), ("trained", trained), ("training set", of_training)):
        values = summary["values"] if summary else {}  # of other thresholds where they were changed during the run
        if found := {key: values[key] for key in rows if key in values}:
            columns[heading] = columns.get(heading, {}) | found
    return rows


def _defined(value: Any) -> Any:
    """Replace NaN, which JSON lacks, by None."""
    if isinstance(value, dict):
        return {name: _defined(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4g}"
