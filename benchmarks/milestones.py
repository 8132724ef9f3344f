"""Relaxed samples of the milestones of runs, against epochs: `python -m benchmarks.milestones RUN`.

Of every checkpoint that stays (`checkpoints/epoch_*.ckpt`) samples are relaxed by sample.py, in the run's folder
`milestones`; those that are done are not relaxed again. Then the runs are drawn beside each other (the paper's figures
S26 and S12), and all values go into a CSV: fractions of relaxed samples below each threshold with 95 % intervals, close
pairs before repair, and the score difference, its mean over the epochs since the milestone before. KEY=VALUE are
those of sample.py.

    python -m benchmarks.milestones RUN [RUN ...] [--n 32] [--every 1] [--output milestones] [KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.tables import write_table
from cryingan.plots.curves import parameter_figure
from cryingan.plots.series import Series
from cryingan.plots.style import save_figure
from cryingan.plots.training import read_metrics
from cryingan.samples.folder import read_summary
from cryingan.storage.fraction_keys import FRACTION, threshold_in

ROOT = Path(__file__).resolve().parents[1]
CLOSE_PAIRS = "relax/close_pairs"
SCORE_DIFFERENCE = "train/score_difference"


def milestones(run: Path, every: int) -> dict[int, Path]:
    """Checkpoints of a run that stay, by the number of finished epochs; every so many of them, and the last."""
    found = {int(re.sub(r"\D", "", path.stem)): path for path in (run / "checkpoints").glob("epoch_*.ckpt")}
    if not found:
        raise SystemExit(f"{run} holds no checkpoints epoch_*.ckpt")
    epochs = sorted(found)
    return {epoch: found[epoch] for epoch in sorted({*epochs[every - 1 :: every], epochs[-1]})}


def relaxed(run: Path, epoch: int, checkpoint: Path, n: int, settings: Sequence[str]) -> dict[str, Any]:
    """Relax the samples of a checkpoint that are not relaxed yet, and return the summary."""
    folder = run / "milestones" / f"epoch_{epoch:06d}"
    print(f"{run}, epoch {epoch}", file=sys.stderr, flush=True)
    call = [sys.executable, str(ROOT / "sample.py"), f"checkpoint={checkpoint}", f"n={n}", "relax=true"]
    ended = subprocess.run([*call, f"output={folder}", "pictures=0", *settings])
    if ended.returncode:
        raise SystemExit(ended.returncode)  # sample.py has said why
    return read_summary(folder)


def rows_of(run: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for every milestone of a run."""
    checkpoints, metrics = milestones(run, arguments.every), run / "metrics.csv"
    recorded = read_metrics(metrics) if metrics.is_file() else {}
    if SCORE_DIFFERENCE not in recorded:
        raise SystemExit(f"{metrics} holds no {SCORE_DIFFERENCE}")
    epochs, distances = recorded[SCORE_DIFFERENCE]
    rows, before = [], 0
    for epoch, checkpoint in checkpoints.items():
        summary = relaxed(run, epoch, checkpoint, arguments.n, arguments.overrides)
        values = {name: value for name, value in summary["values"].items() if name.startswith((FRACTION, CLOSE_PAIRS))}
        between = distances[(epochs >= before) & (epochs < epoch)]
        rows.append({"run": str(run), "epoch": epoch, SCORE_DIFFERENCE: between.mean(), **values})
        before = epoch
    return rows


def panels_of(rows: Sequence[dict[str, Any]], titles: dict[str, str]) -> dict[str, dict[str, Series]]:
    """Columns of the table as curves against epochs, by title and run."""
    runs = {row["run"]: [other for other in rows if other["run"] == row["run"]] for row in rows}

    def series(name: str, own: Sequence[dict[str, Any]]) -> Series:
        x, value, low, high = (
            np.array([row[key] for row in own]) if key in own[0] else None
            for key in ("epoch", name, f"{name}_low", f"{name}_high")
        )
        return Series(x, value, low, high)

    return {title: {run: series(name, own) for run, own in runs.items()} for name, title in titles.items()}


def draw(rows: Sequence[dict[str, Any]], output: str) -> None:
    """Write OUTPUT.png, with linear scales, and OUTPUT_close_pairs.png, with a logarithmic one."""
    thresholds = {name: threshold for name in rows[0] if (threshold := threshold_in(name)) is not None}
    titles = {SCORE_DIFFERENCE: "difference of mean scores"}
    titles |= {name: f"relaxed to {threshold} or below" for name, threshold in thresholds.items()}
    save_figure(parameter_figure(panels_of(rows, titles), "epoch"), f"{output}.png")
    close = panels_of(rows, {CLOSE_PAIRS: "close pairs per sample"})
    save_figure(parameter_figure(close, "epoch", log_y=True), f"{output}_close_pairs.png")


def main() -> None:
    """Relax and draw what the command line asks for."""
    parser = command.new_parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folder")
    parser.add_argument("--n", type=command.positive, default=32, help="samples of each checkpoint")
    parser.add_argument(
        "--every", type=command.positive, default=1, help="of the checkpoints; the last is always among them"
    )
    parser.add_argument(
        "--output", type=command.output, default="milestones", help="of the CSV and the figures, without ending"
    )
    arguments = command.parse_with_overrides(parser)
    rows = [row for run in arguments.runs for row in rows_of(run, arguments)]
    write_table(f"{arguments.output}.csv", rows)
    draw(rows, arguments.output)


if __name__ == "__main__":
    main()
