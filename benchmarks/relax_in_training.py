"""What relaxing samples costs a training: without, inline and in the background.

    python -m benchmarks.relax_in_training STRUCTURES.extxyz WEIGHTS_FOLDER --epochs 100 --every 50

Rattled training structures stand for samples of a generator that has learnt something, since those of an untrained one
cannot be relaxed. The wall time is that of the epochs, without loading the potential, and with the wait at the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

import train
from configs.entry import compose
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.samples.folder import read_summary
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import read_structures

RATTLE = 0.1  # Angstrom


class Clock(Callback):
    """Wall time from the first epoch to the end of everything."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with the first."""
        if trainer.current_epoch == 0:
            Clock.start = time.monotonic()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last evaluation has been waited for."""
        Clock.seconds = time.monotonic() - Clock.start


def rattled(path: Path) -> Any:
    """A replacement of `CryinGAN.sample` that rattles the structures of a file."""
    crystals = read_structures(path)

    def sample(_: CryinGAN, n: int, seed: int) -> Crystals:
        rng = np.random.default_rng(abs(seed))
        chosen = crystals[rng.integers(len(crystals), size=n)]
        moves = rng.normal(0, RATTLE, chosen.fractional.shape) @ np.linalg.inv(crystals.cell)
        return Crystals(chosen.fractional + moves, crystals.cell, crystals.species)

    return sample


def measure(mode: str, arguments: argparse.Namespace, folder: str) -> tuple[float, list[float]]:
    """Train once; seconds of everything and of each evaluation."""
    overrides = [f"data.path={arguments.structures.resolve()}", f"run_dir={folder}/{mode}", "logger=csv"]
    overrides += [f"trainer.max_epochs={arguments.epochs}", "trainer=cpu", *arguments.overrides]
    overrides += ["~callbacks.quality", "~callbacks.structures", "~callbacks.summary"]
    if mode != "off":
        overrides += [
            "callbacks=relax",
            f"callbacks.relax.mode={mode}",
            f"callbacks.relax.every_n_epochs={arguments.every}",
        ]
        overrides += ["potential=m3gnet", f"potential.path={arguments.weights.resolve()}", "callbacks.relax.pictures=0"]
        overrides += [f"callbacks.relax.n_samples={arguments.n}", f"callbacks.relax.cache={folder}"]
        overrides += [f"relax.max_steps={arguments.steps}", f"relax.processes={arguments.processes}"]
    clock = "+callbacks.clock={_target_: benchmarks.relax_in_training.Clock}"
    train.train(compose("train", *overrides, clock))
    evaluations = [read_summary(path)["seconds"] for path in sorted(Path(folder, mode).glob("relaxed/epoch_*"))]
    from benchmarks.relax_in_training import Clock  # the one that the config made, not that of __main__

    return Clock.seconds, evaluations


def main() -> None:
    """Measure the three ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structures", type=Path, help="training structures")
    parser.add_argument("weights", type=Path, help="folder of an M3GNet")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--every", type=int, default=50, help="epochs between evaluations")
    parser.add_argument("--n", type=int, default=4, help="samples of an evaluation")
    parser.add_argument("--steps", type=int, default=30, help="most FIRE steps of each")
    parser.add_argument("--processes", type=int, default=1, help="that relax")
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE of train.py")
    arguments = parser.parse_args()
    CryinGAN.sample = rattled(arguments.structures)
    with tempfile.TemporaryDirectory() as folder:
        for mode in ("off", "inline", "background"):
            seconds, evaluations = measure(mode, arguments, folder)
            print(f"{mode:12s}{seconds:8.1f} s, evaluations {', '.join(map(str, evaluations))}", flush=True)


if __name__ == "__main__":
    main()
