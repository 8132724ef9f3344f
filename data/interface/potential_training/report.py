"""The card of a trained potential for readers: README.md and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.plots.curves import parameter_figure
from cryingan.plots.parity import parity_figure
from cryingan.plots.series import Series
from cryingan.plots.style import save_figure
from cryingan.storage.atomic import replace_file
from data.interface.potential_training.errors import Errors
from data.interface.potential_training.frames import PATHS, RELAXATIONS, SAMPLES
from data.markdown import filled, table

COMPARISON = ("comparison.json", "comparison.png")  # what compare_potentials adds
CURVES = {
    "energy_mae": ("energy MAE (meV/atom)", 1000.0),
    "force_mae": ("force MAE (meV/Angstrom)", 1000.0),
    "stress_mae": ("stress MAE (GPa)", 1.0),
    "loss": ("loss", 1.0),
}


def draw(training: Mapping[str, Any], errors: Errors, folder: Path) -> None:
    """Write learning_curves.png (as the paper's Fig. S27) and parity.png.

    Args:
        training: the training as in metrics.json.
        errors: errors on the test set.
        folder: folder of the figures.
    """
    rows = training["rows"]
    epochs = np.array([row["epoch"] for row in rows])
    panels = {}
    for quantity, (title, factor) in CURVES.items():
        if f"validation/{quantity}" in rows[0]:
            panels[title] = {
                which: Series(epochs, np.array([row[f"{which}/{quantity}"] for row in rows]) * factor)
                for which in ("training", "validation")
            }
    save_figure(parameter_figure(panels, "epoch", log_y=True), folder / "learning_curves.png")
    save_figure(parity_figure(errors.panels(), ("label:", "predicted")), folder / "parity.png")


def write_readme(folder: Path, metrics: Mapping[str, Any], comparison: Mapping[str, Any] | None = None) -> None:
    """Write the card for readers.

    Args:
        folder: folder of the potential.
        metrics: content of its metrics.json.
        comparison: content of its comparison.json, if there is one.
    """
    parts = [
        *_head(metrics),
        *_training(metrics),
        *_accuracy(metrics),
        *(_comparison(comparison) if comparison else []),
    ]
    with replace_file(folder / "README.md") as file:
        file.write(("\n\n".join(parts) + "\n").encode())


def label_name(labels: Mapping[str, str]) -> str:
    """Name of the potential or of the file that the labels are from."""
    return labels.get("name") or labels["file"]


def _head(metrics: Mapping[str, Any]) -> list[str]:
    labels, counts = metrics["labels"], metrics["sets"]
    identity = labels.get("hash") or labels["sha256"]
    start = metrics["start"]
    begun = f", trained further from {start['name']} (SHA-256 {start['hash']})" if start else ""
    return [
        f"# {metrics['name']}",
        filled(
            f"An M3GNet of {metrics['parameters']:,} weights for {', '.join(metrics['elements'])}{begun}. Its energies "
            f"belong to it alone; `card.json` holds reference energies that verify it when it is loaded. Made by"
        ),
        f"    {metrics['command']}",
        filled(
            f"Labels: {label_name(labels)} (SHA-256 {identity}). Frames of one structure are all in one set, drawn "
            f"with seed {metrics['seed']}:"
        ),
        table(
            ["", *counts],
            ["structures", *(one["structures"] for one in counts.values())],
            ["frames", *(one["frames"] for one in counts.values())],
            *_origins(counts),
        ),
    ]


def _origins(counts: Mapping[str, Any]) -> list[list[Any]]:
    """Rows for the kinds of frames, where there are several."""
    kinds = {
        RELAXATIONS: "... of the build's relaxations",
        PATHS: "... of other potentials' relaxations of the same structures",
        SAMPLES: "... of other potentials' relaxations of other structures, such as a generator's samples",
    }
    found = [kind for kind in kinds if any(kind in one["origins"] for one in counts.values())]
    frames = {kind: [one["origins"].get(kind, {"frames": 0})["frames"] for one in counts.values()] for kind in found}
    return [[kinds[kind], *frames[kind]] for kind in found]


def _training(metrics: Mapping[str, Any]) -> list[str]:
    chosen, stress = metrics["training"], metrics["weights"]["stress"] > 0
    weights = ", ".join(f"{value:g} {key}" for key, value in metrics["weights"].items() if value)
    units = "eV/atom, eV/Å, GPa" if stress else "eV/atom, eV/Å"
    without = "" if stress else " The labels have no stresses."
    return [
        "## Training",
        filled(
            f"The loss is the sum of the mean absolute errors ({units}), weighted by {weights}.{without} The learning "
            f"rate rises to {chosen['learning_rate']:g} and falls along a cosine to almost zero in the last of "
            f"{chosen['epochs']} epochs, with {chosen['batch_size']} structures per step; {len(chosen['rows'])} epochs "
            f"were done in {_duration(chosen['rows'])}, and the weights are those of epoch "
            f"{chosen['best']['epoch']}, which has the lowest validation loss."
        ),
        *_trials(metrics, "Learning rates and batch sizes that were tried, with errors on the validation set:"),
        "![Errors of training and validation set by epoch](learning_curves.png)",
        *_earlier(metrics.get("earlier", [])),
    ]


def _earlier(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The earlier trainings of weights that were trained further."""
    if not stages:
        return []
    stress = any(_has_stress(stage["training"]) for stage in stages)
    rows = [_stage(stage, stress) for stage in stages]
    parts = [
        "Earlier trainings, each from the weights of the one above it, with errors on the validation set of the time:",
        table(["SHA-256", "structures", "frames", *_columns(stress)], *rows),
    ]
    for stage in stages:
        parts += _trials(stage, f"Learning rates and batch sizes that were tried for {stage['hash'][:12]}:")
    return parts


def _stage(stage: Mapping[str, Any], stress: bool) -> list[Any]:
    counts = stage["sets"]["training"]
    return [stage["hash"][:12], counts["structures"], counts["frames"], *_trial(stage["training"], stress)]


def _trials(stage: Mapping[str, Any], title: str) -> list[str]:
    if not stage["trials"]:
        return []
    stress = _has_stress(stage["training"])
    return [title, table(_columns(stress), *(_trial(one, stress) for one in stage["trials"]))]


def _columns(stress: bool) -> list[str]:
    last = ["stress MAE (GPa)"] if stress else []
    return ["learning rate", "batch size", "epochs", "energy MAE (meV/atom)", "force MAE (meV/Å)", *last, "loss"]


def _trial(trial: Mapping[str, Any], stress: bool) -> list[Any]:
    best = trial["best"]
    head = [f"{trial['learning_rate']:g}", trial["batch_size"], trial["epochs"]]
    if trial["diverged"] or best is None:
        return [*head, *["diverged"] * (3 + stress)]
    last = [f"{best['validation/stress_mae']:.4f}" if _has_stress(trial) else ""] if stress else []
    loss = f"{best['validation/loss']:.4f}" + (" (chosen)" if trial.get("chosen") else "")
    energy, force = best["validation/energy_mae"] * 1000, best["validation/force_mae"] * 1000
    return [*head, f"{energy:.2f}", f"{force:.1f}", *last, loss]


def _has_stress(training: Mapping[str, Any]) -> bool:
    return training["weights"][-1] > 0


def _accuracy(metrics: Mapping[str, Any]) -> list[str]:
    sets = metrics["errors"]
    rows = (
        ("energy MAE (meV/atom)", "energy_mae", 1000, ".2f"),
        ("energy RMSE (meV/atom)", "energy_rmse", 1000, ".2f"),
        ("energy, rank correlation (Spearman)", "energy_spearman", 1, ".3f"),
        ("force component MAE (meV/Å)", "force_mae", 1000, ".1f"),
        ("force component RMSE (meV/Å)", "force_rmse", 1000, ".1f"),
        ("mean size of a force component (meV/Å)", "force_size", 1000, ".1f"),
        ("lowest frame of each structure: energy MAE (meV/atom)", "lowest_energy_mae", 1000, ".2f"),
        ("lowest frame of each structure: rank correlation", "lowest_energy_spearman", 1, ".3f"),
    )
    shown = [
        [title, *("" if one[key] is None else format(one[key] * factor, style) for one in sets.values())]
        for title, key, factor, style in rows
    ]
    return [
        "## Accuracy",
        filled(f"Against {label_name(metrics['labels'])}, on structures that the weights were not fitted to:"),
        table(["", *sets], *shown),
        "![Energies and forces of the test set against their labels](parity.png)",
    ]


def _comparison(found: Mapping[str, Any]) -> list[str]:
    rows = [
        ["relaxed with both", f"{found['compared']} of {found['structures']}"],
        ["rank correlation of the relaxed energies (Spearman)", _three(found["spearman"], found["spearman_interval"])],
        ["mean absolute difference (meV/atom)", f"{found['mae'] * 1000:.2f}"],
        ["mean difference (meV/atom)", f"{found['mean_difference'] * 1000:+.2f}"],
        ["standard deviation among the structures (meV/atom)", f"{found['spread'] * 1000:.2f}"],
    ]
    if found["cutoff"] is not None:
        rows.append([f"same side of the cut-off, {found['cutoff']:.6f} eV/atom", _percent(found)])
    if same := found["same_places"]:
        rows.append([f"its minima, energies of {found['reference']} there: Spearman", _three(same["spearman"])])
        rows.append(["... mean absolute difference (meV/atom)", f"{same['mae'] * 1000:.2f}"])
    if moved := found["moved"]:
        name = f"{found['reference']} against itself, from starts moved by {moved['shift']:g} Å: Spearman"
        rows.append([name, _three(moved["spearman"], moved["spearman_interval"])])
        rows.append(["... mean absolute difference (meV/atom)", f"{moved['mae'] * 1000:.2f}"])
        if moved["agreement"] is not None:
            rows.append(["... same side of the cut-off", _percent(moved)])
    if found["speed"]:
        rows.append(["CPU time per evaluation (ms)", f"{found['speed']['ms']:.1f}"])
        rows.append([f"... of {found['reference']}", f"{found['speed']['reference_ms']:.1f}"])
    poor = same and same["mae"] > found["spread"]
    warning = (
        f"**It cannot judge relaxed structures yet:** where its relaxations end, the energies of {found['reference']} "
        "differ from its own by more than the structures differ among each other. It lacks frames of its own paths: "
        "docs/potential.md says how `data.interface.extend_frames` adds them."
    )
    return [
        "## Random structures relaxed with both",
        filled(
            f"Structures of {found['system']} that it was not trained on, relaxed with it and with "
            f"{found['reference']} from the same random start (fmax {found['fmax']:g} eV/Å), with 95 % intervals:"
        ),
        table(["", ""], *rows),
        *([filled(warning)] if poor else []),
        "![Relaxed energies with both potentials](comparison.png)",
    ]


def _three(value: float | None, interval: Sequence[float] | None = None) -> str:
    ends = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return "" if value is None else f"{value:.3f}{ends}"


def _percent(found: Mapping[str, Any]) -> str:
    low, high = found["agreement_interval"]
    return f"{found['agreement']:.0%} ({low:.0%} to {high:.0%})"


def _duration(rows: list[Mapping[str, float]]) -> str:
    hours = sum(row["seconds"] for row in rows) / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
