"""The lineage of a run in Weights & Biases: the structures that it used, the checkpoints and summary that it made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.wandb_guard import GuardedRun
from callbacks.wandb_run import RUN_ID, begun, chosen_mode, wandb_logger
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.sources import structure_files

CHECKPOINTS = ("best.ckpt", "last.ckpt")
SUMMARY = ("summary.json", "training.png")
LOGGER = "callbacks.wandb_run.wandb_logger"
NOT_IN_NAMES = re.compile(r"[^\w.-]+")


class WandbArtifacts(Callback):
    """Logs artifacts to W&B, where `logger.wandb.artifacts` is not null.

    - the structures, type `dataset`, as used by the run: the paths of their files, which are not sent, and their hash.
    - best.ckpt and last.ckpt, type `model`, when training has ended: their paths and hashes, or the files.
    - summary.json and training.png, type `report`, as files of some 100 kB.

    Logs no metrics.

    Args:
        data: name of the structures.
    """

    def __init__(self, data: str) -> None:
        self.data = data

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the structures."""
        for run, _ in begun(trainer):
            run.attempt(use_structures, self.data, trainer.datamodule)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Log what the run has made, when best.ckpt and the summary are there."""
        folder = Path(trainer.default_root_dir)
        for run, artifacts in begun(trainer):
            run.attempt(log_files, "model", folder / "checkpoints", CHECKPOINTS, artifacts == "files")
            run.attempt(log_files, "report", folder, SUMMARY, True)


def use_structures(run: GuardedRun, name: str, data: LightningDataModule) -> None:
    """Log the structures of a data module as an input of a run.

    Args:
        run: the W&B run.
        name: of the artifact.
        data: a `data.module.StructureData`.
    """
    import wandb

    counts = {symbol: int(number) for symbol, number in data.crystals.counts.items()}
    metadata = {"path": str(data.path), "sha256": data.sha256, "structures": len(data.crystals), "atoms": counts}
    artifact = wandb.Artifact(NOT_IN_NAMES.sub("-", name), "dataset", metadata=metadata)
    for file in structure_files(data.path):
        # The hash of all structures is in the name, so that other contents are another version; W&B need not read them.
        artifact.add_reference(file.resolve().as_uri(), name=f"{data.sha256[:16]}/{file.name}", checksum=False)
    # use_artifact refuses to work offline, and online it would wait for the server.
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def log_files(run: GuardedRun, kind: str, folder: Path, names: Sequence[str], send: bool) -> None:
    """Log files of a run, those that are there, as an artifact KIND-RUN_ID.

    Args:
        run: the W&B run.
        kind: type of the artifact.
        folder: where the files are.
        names: of the files.
        send: whether W&B gets the files, or only their paths and hashes.
    """
    import wandb

    paths = [folder / name for name in names if (folder / name).exists()]
    if not paths:
        return
    artifact = wandb.Artifact(f"{kind}-{run.id}", kind, metadata={"folder": str(folder)})
    for path in paths:
        if send:
            artifact.add_file(str(path))
        else:
            artifact.add_reference(path.resolve().as_uri(), name=path.name)
    run.log_artifact(artifact)


def log_report(page: Path, runs: Mapping[Path, Mapping[str, Any]]) -> None:
    """Log the report of a sweep to a W&B run of its own, as made from the checkpoints of the runs that it shows.

    Does nothing where no run has a W&B logger with artifacts.

    Args:
        page: report.html.
        runs: settings of the runs, by run folder.
    """
    loggers = [node for one in runs.values() for node in one.get("logger", {}).values()]
    logger = next((node for node in loggers if node.get("_target_") == LOGGER and node.get("artifacts")), None)
    if logger is None or (logger["mode"] or chosen_mode()) == "disabled":
        return
    folder = page.resolve().parent
    ours = wandb_logger(str(folder), logger["mode"], project=logger["project"], name=folder.name, job_type="report")
    run = ours.experiment
    try:
        if not run.offline:
            for run_id in filter(None, map(_run_id, runs)):
                run.use_artifact(f"model-{run_id}:latest", type="model")
        run.attempt(log_files, "report", folder, [page.name], True)
    finally:
        ours.close()


def _run_id(folder: Path) -> str | None:
    """The id of the W&B run of a run folder; None where it has none."""
    path = folder / "checkpoints" / "last.ckpt"
    return read_checkpoint(path).get(RUN_ID) if path.exists() else None
