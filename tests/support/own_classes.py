"""A model and a data module as a user writes them, for the tests."""

from dataclasses import dataclass

import lightning
import numpy as np
import torch

from cryingan.models.base import GenerativeModel
from cryingan.structures.crystals import Crystals
from data.module import StructureData


class MeanStructure(lightning.LightningModule):
    """Learns the mean coordinates; samples are that mean with noise."""

    def __init__(self, cell, species, noise=0.01, seed=1):
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.grouping = Crystals(np.empty((0, len(species), 3)), cell, species).grouping
        self.mean = torch.nn.Parameter(torch.full((len(species), 3), 0.5))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)

    def training_step(self, batch, batch_idx):
        loss = (batch - self.mean).square().mean()
        self.log("train/loss", loss)
        return loss

    def sample(self, n, seed, purpose="sample"):
        noise = np.random.default_rng(seed).normal(0, self.hparams.noise, (n, len(self.mean), 3))
        fractional = self.mean.detach().numpy() + noise
        in_file_order = np.argsort(self.grouping)
        return Crystals(fractional[:, in_file_order], np.array(self.hparams.cell), tuple(self.hparams.species))


@dataclass
class ScatterSettings:
    """Settings of `Scatter`."""

    width: float = 0.02
    ema: float = 0.0
    seed: int = 1


class Scatter(GenerativeModel):
    """Normal noise about places that are learned; with hooks of its own that do not call those of the base class."""

    kind = "scatter"
    settings_type = ScatterSettings
    held_out_loss = "val/loss"

    def build(self, settings):
        self.places = torch.nn.Parameter(torch.full((len(self.grouping), 3), 0.5))
        self.validated = []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)

    def training_step(self, batch, batch_idx):
        return (batch - self.places).square().mean()

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.places.detach().clone())
        self.log("val/loss", self.training_step(batch, batch_idx))

    def on_validation_epoch_end(self):
        self.validated = self.validated[-1:]

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.steps = batch_idx + 1

    def generate(self, sources):
        noise = torch.stack([torch.randn(self.places.shape, generator=source) for source in sources])
        return self.places + self.hparams.width * noise


class WithoutSeed(lightning.LightningModule):
    """Saves no hyper-parameters."""

    def __init__(self, cell, species):
        super().__init__()


class FirstStructures(StructureData):
    """Only the first structures of a file."""

    def __init__(self, first, **keys):
        super().__init__(**keys)
        self.crystals = self.crystals[:first]
