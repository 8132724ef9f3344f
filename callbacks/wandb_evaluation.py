"""Log evaluations to Weights & Biases."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from cryingan.evaluation.report import METRICS, STRUCTURES


def upload_evaluation(run: Any, folder: str | Path) -> None:
    """Log the values, the figures and a table with one row per structure to a run.

    The keys are `evaluation/<metric>`, with `_low` and `_high` for the ends of the interval, `evaluation/<count>` such
    as `evaluation/accepted`, `evaluation/<figure>` and `evaluation/structures`. Undefined metrics are left out.

    Args:
        run: the W&B run.
        folder: folder of a finished evaluation.
    """
    import wandb

    folder = Path(folder)
    content = json.loads((folder / METRICS).read_bytes())
    values = {f"evaluation/{name}": count for name, count in content["counts"].items()}
    for name, entry in content.items():
        if isinstance(entry, dict) and entry.get("value") is not None:
            values[f"evaluation/{name}"] = entry["value"]
            values |= {f"evaluation/{name}_{end}": entry[end] for end in ("low", "high")}
    figures = {f"evaluation/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("*.png"))}
    with (folder / STRUCTURES).open(newline="") as file:
        header, *rows = list(csv.reader(file))
    run.log({**values, **figures, "evaluation/structures": wandb.Table(columns=header, data=rows)})


def upload_to_new_run(folder: Path, project: str) -> None:
    """Log an evaluation to a new run, named like its folder.

    Args:
        folder: folder of a finished evaluation; W&B writes its files there.
        project: the W&B project.

    Raises:
        CryinGANError: W&B cannot be reached.
    """
    from callbacks.wandb_run import wandb_logger

    logger = wandb_logger(str(folder), project=project, name=folder.resolve().name, job_type="evaluation")
    try:
        upload_evaluation(logger.experiment, folder)
    finally:
        logger.close()
