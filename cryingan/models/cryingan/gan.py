"""CryinGAN: a generator, a discriminator on fractional coordinates and one on neighbour distances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import neighbor_distances
from cryingan.models.cryingan.adversarial import AdversarialModel
from cryingan.models.cryingan.critic import critic_terms, mean_score
from cryingan.models.cryingan.networks import Discriminator
from cryingan.models.cryingan.refinement import refined
from cryingan.models.cryingan.settings import ModelSettings

SCORED = 256  # training structures at most, whose mean score counts: they differ little
AT_ONCE = 32  # of them


class CryinGAN(AdversarialModel):
    """The WGAN-GP of the Dismai-Bench paper (Yong, Su, Ertekin, Digital Discovery 2024, Supplementary Information).

    A batch has shape (structures, atoms, 3 + k): fractional coordinates and, where `distance_weight` is not 0, the
    distances to the k nearest neighbours in Angstrom; atoms are grouped by species. The discriminators are called
    `coordinates` and `distances`; lambda, `distance_weight`, is the weight of the second.

    Logged: see `cryingan.models.cryingan.adversarial.AdversarialModel`.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: networks and optimisation; those of the paper when not given.
        shift: origin of the coordinates of batches, in fractions of the cell, which samples do not have; None for 0.
        changes: fields of `cryingan.models.cryingan.settings.ModelSettings` that differ from `settings`.

    Raises:
        CryinGANError: a setting is out of range.

    Attributes:
        real_score: mean score of the training structures, by both discriminators together, to which samples are
            refined; None where it is not known, as in checkpoints of earlier versions, and in training, as it changes.

    Example:
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = cryingan.CryinGAN(cell, ["Li", "Li", "Cl"], n_neighbors=2, channels=8)
        >>> model.sample(5, seed=1).fractional.shape
        (5, 3, 3)
    """

    kind = "cryingan"
    recordable = True
    settings_type = ModelSettings
    sampler_keys = ("refine_steps",)
    real_score: float | None = None
    real: Tensor | None = None  # training structures as batches have them, in training
    critic_terms = staticmethod(critic_terms)
    mean_score = staticmethod(mean_score)

    def build_discriminators(self, settings: ModelSettings) -> dict[str, nn.Module]:
        """The discriminators by name; sets `weights`, theirs in the loss, and `n_neighbors`, what batches have."""
        self.n_neighbors = settings.n_neighbors if settings.paired else 0
        features = {"coordinates": 3, "distances": settings.n_neighbors}
        weights = {"coordinates": 1.0, "distances": settings.distance_weight}
        self.weights = {name: weights[name] for name in settings.poolings}
        counts, sizes = list(self.template.counts.values()), (settings.discriminator_widths, settings.head_widths)
        return {
            name: Discriminator(features[name], counts, pooling, *sizes, settings.outputs, settings.sites)
            for name, pooling in settings.poolings.items()
        }

    def on_fit_start(self) -> None:
        """As the base class does; have the data module order the atoms by their sites, if these matter."""
        super().on_fit_start()
        data, self.real_score = self.trainer.datamodule, None
        if self.hparams.sites:
            data.order_by(self.start.components.as_structure(self.template.cell, self.grouped_species))
        if data is not None:
            training = data.tensors["training"]
            self.real = training[:: -(-len(training) // SCORED)]

    def on_fit_end(self) -> None:
        """Keep the score of the training structures, and not these."""
        self.real_score, self.real = self._real_score(), None

    def real_features(self, batch: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of the structures of a batch."""
        return {"coordinates": self._places(batch[..., :3]), "distances": batch[..., 3:]}

    def _places(self, fractional: Tensor) -> Tensor:
        """What tells the discriminator of coordinates where atoms are: these, or displacements from the sites."""
        return self.start.displacements(fractional) if self.hparams.sites else fractional

    def features(self, fractional: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of structures with fractional coordinates (structures, atoms, 3)."""
        seen = {"coordinates": self._places(fractional)}
        if "distances" in self.discriminators:
            seen["distances"] = neighbor_distances(fractional, self.cell, self.n_neighbors)
        return seen

    def batches(
        self, parts: Sequence[range], seed: int, purpose: str, refine_steps: int | None = None, **drawing: Any
    ) -> Iterator[tuple[Tensor, dict[str, int]]]:
        """Those of the generator, refined (`cryingan.models.cryingan.refinement`) where the model knows how.

        Args:
            parts: numbers of the structures of each batch.
            seed: of the noise.
            purpose: of the noise.
            refine_steps: at most; None: `settings.refine_steps`.
            drawing: see `cryingan.models.cryingan.adversarial.AdversarialModel.batches`.

        Raises:
            CryinGANError: `refine_steps` is given, and the model does not know the score of its training structures.
        """
        steps = self.hparams.refine_steps if refine_steps is None else refine_steps
        target = self._real_score() if steps else None
        if refine_steps and target is None:
            raise CryinGANError(
                f"sampler.refine_steps={refine_steps}: this checkpoint does not hold the score of its training "
                "structures, up to which samples are refined; one of an earlier version has it when the run is resumed"
            )
        for structures, rejected in super().batches(parts, seed, purpose, **drawing):
            if target is not None:
                structures = refined(
                    structures, self.cell, lambda some: self._score(self.features(some)), target, steps
                )
            yield structures, rejected

    def _score(self, features: dict[str, Tensor]) -> Tensor:
        """The sum of the scores of both discriminators, shape (structures,)."""
        return sum(discriminator(features[name]).mean(-1) for name, discriminator in self.discriminators.items())

    def _real_score(self) -> float | None:
        """Mean score of the training structures; None where it is not known, or discriminators are untrained."""
        if self.real is None:
            return self.real_score
        if not (self.trainer.global_step or self.initialized):
            return None
        with torch.no_grad():
            parts = self.real.to(self.device, self.dtype).split(AT_ONCE)
            return float(torch.cat([self._score(self.real_features(part)) for part in parts]).mean())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """As the base class does, and the mean score of training structures, which samples are refined to."""
        super().on_save_checkpoint(checkpoint)
        if (score := self._real_score()) is not None:
            checkpoint["cryingan_real_score"] = score

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the mean score of the training structures."""
        self.real_score = checkpoint.get("cryingan_real_score")

    @property
    def rates_samples(self) -> bool:
        """Whether there is a discriminator of distances: that of coordinates tells good samples from bad no better."""
        return "distances" in self.discriminators

    def rated(self, fractional: Tensor) -> Tensor:
        """The score of the discriminator of distances, the mean of its outputs."""
        distances = neighbor_distances(fractional, self.cell, self.n_neighbors)
        return self.discriminators["distances"](distances).mean(-1)
