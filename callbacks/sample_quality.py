"""How good the samples are, measured while training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from callbacks.epochs import due
from cryingan.geometry.distances import neighbor_distances
from cryingan.metrics.alloy.reference import AlloyReference
from cryingan.metrics.close_pairs import close_pairs
from cryingan.structures.crystals import Crystals

NEIGHBORS = 6
REFERENCE_STRUCTURES = 256  # enough for a mean to 1 mA, and quick


class SampleQuality(Callback):
    """Measures `n` samples before training, every `every_n_epochs` epochs and after the last.

    Logs `samples/close_pairs`, unique pairs within 1.5 Angstrom per structure, and `samples/neighbor_distance_error`,
    how far the mean distances to the first, second, ... sixth neighbour are from those of the training set (Angstrom,
    mean over the six), and `samples/spread`, how far an atom is from where it is in another sample
    (Angstrom, mean): near zero when all samples are alike. Where the training structures lie on the
    alloy's fcc lattice, also `alloy/vacancies` (share of lattice sites without an atom within 0.8 Angstrom),
    `alloy/formation_energy` and `alloy/formation_energy_error` (eV/atom; mean of the samples and its distance from the
    training mean), `alloy/sro_1_Cr-Fe` ... (first-shell Warren-Cowley parameters) and `alloy/sro_error` (mean distance
    of the six from the training means). The samples come from a seed stream of their own.

    Args:
        every_n_epochs: epochs between measurements.
        n: number of samples.
    """

    def __init__(self, every_n_epochs: int = 10, n: int = 100) -> None:
        self.every_n_epochs = every_n_epochs
        self.n = n
        self.random: dict[str, float] = {}
        self.before: dict[str, float] = {}
        self.after: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Describe the training structures; the alloy's on their lattice."""
        training = trainer.datamodule.training
        self.distances = mean_neighbor_distances(training[evenly(len(training), REFERENCE_STRUCTURES)])
        self.alloy = AlloyReference.of(training)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the untrained generator, and atoms at random for comparison, once per run."""
        if trainer.is_global_zero and not self.before:
            samples = pl_module.sample(self.n, pl_module.hparams.seed, purpose="quality")
            anywhere = np.random.default_rng(pl_module.hparams.seed).uniform(size=samples.fractional.shape)
            self.random = self.measure(Crystals(anywhere, samples.cell, samples.species))
            self.before = self.measure(samples)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        if trainer.is_global_zero and due(trainer, self.every_n_epochs):
            self.after = self.measure(pl_module.sample(self.n, pl_module.hparams.seed, purpose="quality"))
            pl_module.log_epoch(self.after)

    def measure(self, samples: Crystals) -> dict[str, float]:
        """The logged values of any structures of this data set."""
        fractional, cell = torch.from_numpy(samples.fractional), torch.from_numpy(samples.cell)
        deviation = (mean_neighbor_distances(samples) - self.distances).abs().mean()
        values = {
            "samples/close_pairs": close_pairs(fractional, cell).double().mean().item(),
            "samples/neighbor_distance_error": deviation.item(),
            "samples/spread": spread(samples),
        }
        if self.alloy is not None:
            values |= {f"alloy/{name}": value for name, value in self.alloy.compare(samples).items()}
        return values

    def state_dict(self) -> dict[str, Any]:
        """What was measured first and last, so that a resumed run can still tell what was learnt."""
        return {"random": self.random, "before": self.before, "after": self.after}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The measurements of the run so far."""
        self.random, self.before, self.after = (state_dict[name] for name in ("random", "before", "after"))


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` of `count` indices, from first to last: a file may begin with structures of one kind."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


def spread(crystals: Crystals) -> float:
    """Mean distance between the places of an atom in two structures, wrapped, Angstrom; NaN for a single structure."""
    if len(crystals) < 2:
        return math.nan
    difference = np.diff(crystals.fractional, axis=0)
    return float(np.linalg.norm((difference - difference.round()) @ crystals.cell, axis=-1).mean())


def mean_neighbor_distances(crystals: Crystals) -> torch.Tensor:
    """Mean distance to the first, second, ... sixth neighbour over all atoms and structures, Angstrom, shape (6,)."""
    fractional, cell = torch.from_numpy(crystals.fractional), torch.from_numpy(crystals.cell)
    return neighbor_distances(fractional, cell, NEIGHBORS).mean(dim=(0, 1))
