"""The linear model: the rival that every generator has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cryingan.models.base import GenerativeModel
from cryingan.models.linear.components import Components
from cryingan.models.linear.settings import LinearSettings
from cryingan.structures.crystals import Crystals


class Linear(GenerativeModel):
    """The mean structure of a set plus principal components of the displacements from it, with normal weights.

    It is fitted in closed form before the first epoch; epochs change nothing. Logged once per epoch: `train/explained`,
    the share of the displacements' variance that the components hold; for held-out structures `val/explained`.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: the defaults when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.linear.settings.LinearSettings` that differ from `settings`.
    """

    kind = "linear"
    settings_type = LinearSettings
    translatable = False
    tempered = True

    def build(self, settings: LinearSettings) -> None:
        """Room for the components."""
        self.automatic_optimization = False
        self.components = Components()

    @property
    def logged_keys(self) -> set[str]:
        """All keys of metrics.csv that training logs."""
        return {"train/explained", "val/explained"}

    def configure_optimizers(self) -> list:
        """None: nothing is learned by steps."""
        return []

    def on_fit_start(self) -> None:
        """Fit the training structures, unless a checkpoint brought the components."""
        if not len(self.components.codes):
            self.fit(self.trainer.datamodule.training)

    def fit(self, training: Crystals) -> None:
        """Fit structures in the order of the user's file.

        Raises:
            CryinGANError: they have no sites in common.
        """
        self.components.fit(self.as_in_batches(training), self.hparams.components)
        self.components.to(self.device)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Nothing."""

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """The share of the variance of held-out structures that the components hold."""
        structures = Crystals(batch[..., :3].double().cpu().numpy(), self.template.cell, self.grouped_species)
        explained = self.components.explained(structures)
        self.log("val/explained", explained, batch_size=len(batch), sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Log what the components hold of the training structures."""
        self.log_epoch({"train/explained": self.components.explained(self.training_structures())})

    def generate(self, sources: Sequence[torch.Generator], temperature: float = 1.0) -> Tensor:
        """The mean plus drawn displacements times a temperature, fractional, (structures, atoms, 3), grouped."""
        codes = torch.stack([self.components.draw(source, self.hparams.noise) for source in sources])
        return self.components.decode(temperature * codes.to(self.device), self.cell.to(self.device))
