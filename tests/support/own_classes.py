"""A model and a data module as a user writes them, for the tests."""

import lightning
import numpy as np
import torch

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


class WithoutSeed(lightning.LightningModule):
    """Saves no hyper-parameters."""

    def __init__(self, cell, species):
        super().__init__()


class FirstStructures(StructureData):
    """Only the first structures of a file."""

    def __init__(self, first, **keys):
        super().__init__(**keys)
        self.crystals = self.crystals[:first]
