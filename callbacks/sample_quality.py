"""Quality of the samples during training."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torchmetrics import MetricCollection

from callbacks.epochs import due, log
from cryingan.metrics.alloy.reference import KEYS as ALLOY_KEYS
from cryingan.metrics.alloy.reference import AlloyReference
from cryingan.metrics.close_pairs import ClosePairs, close_pairs
from cryingan.metrics.coverage import NEIGHBORS as NEAREST
from cryingan.metrics.neighbor_distances import NeighborDistanceError, mean_neighbor_distances
from cryingan.metrics.region_coverage import RegionCoverage
from cryingan.metrics.region_reference import KEYS, RegionReference
from cryingan.metrics.sample_distance import SampleDistance, sample_distance
from cryingan.structures.crystals import Crystals

NEIGHBORS = 6
REGION = "samples/region"  # of whose values each has a key of its own
REFERENCE_STRUCTURES = 256  # enough for a mean within 0.001 Angstrom
RANDOM_ATOMS = "random atoms"  # with which runs of earlier versions compared
PLACED = "data.translate=%s: samples are compared with the training structures after a translation to their sites"
NO_SITES = "data.translate=%s: samples have no sites to be translated to, so samples/distance and alloy/ are left out"

log_of_run = logging.getLogger(__name__)


class SampleQuality(Callback):
    """Measures `n` samples before training, every `every_n_epochs` epochs and after the last.

    The samples come from a seed stream of their own. Several processes share the work; the first one generates.

    Logs

    - `samples/close_pairs`: unique pairs within 1.5 Angstrom per structure.
    - `samples/neighbor_distance_error`: how far the mean distances to the first, second, ... sixth neighbour are from
      those of the training set, Angstrom, mean over the six.
    - `samples/distance`: between two samples, Angstrom, root mean square over atoms, mean; atoms are paired within
      their species so that it is the shortest. Near zero when all samples are alike.

    where the training structures share most of their sites, as those of an interface do, of the atoms at the other
    sites, which `samples/distance` is of, too, there,

    - `samples/precision`, `samples/recall`, `samples/f1`, `samples/density`, `samples/coverage`: whether samples are
      like training structures, and whether they cover them.
    - `samples/nearest_training`: distance from the nearest training structure of at most 500; small values are copies.
    - `samples/dimension`: of the manifold that samples lie on; it depends on how many they are.

    and, where the training structures lie on the alloy's fcc lattice,

    - `alloy/vacancies`: share of the lattice sites without an atom within 0.8 Angstrom.
    - `alloy/formation_energy`, `alloy/formation_energy_error`: mean of the samples, and its distance from the training
      mean, eV/atom.
    - `alloy/sro_1_Cr-Fe` ..., `alloy/sro_error`: first-shell Warren-Cowley parameters, and the mean distance of the six
      from the training means.

    Where training structures are translated (data.translate), samples are first brought to the sites that these share,
    along the same axes. Without such sites `samples/distance` is left out then, and `alloy/` always.

    Args:
        every_n_epochs: epochs between measurements.
        n: number of samples.
    """

    def __init__(self, every_n_epochs: int = 10, n: int = 100) -> None:
        self.every_n_epochs = every_n_epochs
        self.n = n
        self.random: dict[str, float] = {}
        self.random_title = RANDOM_ATOMS
        self.training: dict[str, float] = {}
        self.before: dict[str, float] = {}
        self.after: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compute the reference values of the training structures."""
        training = trainer.datamodule.training
        some = training.evenly(REFERENCE_STRUCTURES)
        cell = torch.from_numpy(training.cell)
        reference = mean_neighbor_distances(torch.from_numpy(some.fractional), cell, NEIGHBORS)
        metrics = {
            "samples/close_pairs": ClosePairs(cell),
            "samples/neighbor_distance_error": NeighborDistanceError(reference, cell),
        }
        axes = getattr(trainer.datamodule, "translated", ())
        self.alloy = None if axes else AlloyReference.of(training)
        self.region = RegionReference.of(training, axes) if self.alloy is None else None
        if self.region is not None:
            metrics[REGION] = RegionCoverage(self.region, training[:0])
        elif not axes:
            metrics["samples/distance"] = SampleDistance(training[:0])
        if axes and trainer.is_global_zero:
            line = NO_SITES if self.region is None else PLACED
            log_of_run.info(line, trainer.datamodule.settings.translate)
        self.metrics = MetricCollection(metrics)
        self.training = self._of_training(training.evenly(self.n))

    @property
    def keys(self) -> set[str]:
        """All keys that a measurement of this set logs a number of; known after `setup`."""
        of_region = KEYS if self.region is not None and self.n > NEAREST else ()
        known = {*self.metrics.keys(), *(f"samples/{name}" for name in of_region)} - {REGION}
        return known | {f"alloy/{name}" for name in (ALLOY_KEYS if self.alloy is not None else ())}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the untrained generator and, for comparison, random structures, once per run."""
        if not self.before:
            slow = getattr(pl_module, "sampler_keys", ())  # drawn step by step, samples take a minute
            if trainer.is_global_zero and slow:
                log_of_run.info("measuring %d samples of the untrained model", self.n)
            samples = self._samples(trainer, pl_module)
            random = trainer.datamodule.random
            self.random = self.measure(random.draw(self.n, pl_module.hparams.seed), trainer)
            self.random_title = random.title
            self.before = self.measure(samples, trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure and log."""
        if due(trainer, self.every_n_epochs):
            self.after = self.measure(self._samples(trainer, pl_module), trainer)
            log(trainer, self.after, trainer.current_epoch)

    def _samples(self, trainer: Trainer, pl_module: LightningModule) -> Crystals:
        """The samples of the first process: the statistics of BatchNorm are each process's own."""
        samples = None
        if trainer.is_global_zero:
            samples = pl_module.sample(self.n, pl_module.hparams.seed, purpose="quality")
        return trainer.strategy.broadcast(samples)

    def measure(self, samples: Crystals, trainer: Trainer) -> dict[str, float]:
        """Compute the logged values of structures of this data set, in parts over the processes."""
        if trainer.world_size > 1:
            self.metrics.to(trainer.strategy.root_device)  # where processes can gather what they have
        share = np.array_split(np.arange(len(samples)), trainer.world_size)[trainer.global_rank]
        self.metrics.update(torch.from_numpy(samples.fractional[share]))
        values = {name: value.tolist() for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        if self.region is not None:
            values |= zip((f"samples/{name}" for name in KEYS), values.pop(REGION), strict=True)
        if self.alloy is not None:
            values |= {f"alloy/{name}": value for name, value in self.alloy.compare(samples).items()}
        return values

    def _of_training(self, some: Crystals) -> dict[str, float]:
        """What training structures, as many as samples, have of the logged values."""
        pairs = close_pairs(torch.from_numpy(some.fractional), torch.from_numpy(some.cell))
        values = {"close_pairs": pairs.double().mean().item()}
        if "samples/distance" in self.metrics:
            shuffled = some[np.random.default_rng(0).permutation(len(some))]
            values["distance"] = sample_distance(shuffled)
        elif self.region is not None:
            values |= self.region.of_training(self.n)
        return {f"samples/{name}": value for name, value in values.items()}

    def state_dict(self) -> dict[str, Any]:
        """The first and the last measurements, for the summary of a resumed run."""
        return {"random": self.random, "random_title": self.random_title, "before": self.before, "after": self.after}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the measurements."""
        self.random, self.before, self.after = (state_dict[name] for name in ("random", "before", "after"))
        self.random_title = state_dict.get("random_title", RANDOM_ATOMS)
