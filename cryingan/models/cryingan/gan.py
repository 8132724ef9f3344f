"""CryinGAN: a generator, a discriminator on fractional coordinates and one on neighbour distances."""

from __future__ import annotations

from torch import Tensor, nn

from cryingan.geometry.distances import neighbor_distances
from cryingan.models.cryingan.adversarial import AdversarialModel
from cryingan.models.cryingan.critic import critic_terms, mean_score
from cryingan.models.cryingan.networks import Discriminator
from cryingan.models.cryingan.settings import ModelSettings


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

    Example:
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = cryingan.CryinGAN(cell, ["Li", "Li", "Cl"], n_neighbors=2, channels=8)
        >>> model.sample(5, seed=1).fractional.shape
        (5, 3, 3)
    """

    kind = "cryingan"
    recordable = True
    settings_type = ModelSettings
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
        if self.hparams.sites:
            sites = self.start.components.as_structure(self.template.cell, self.grouped_species)
            self.trainer.datamodule.order_by(sites)

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

    @property
    def rates_samples(self) -> bool:
        """Whether there is a discriminator of distances: that of coordinates tells good samples from bad no better."""
        return "distances" in self.discriminators

    def rated(self, fractional: Tensor) -> Tensor:
        """The score of the discriminator of distances, the mean of its outputs."""
        distances = neighbor_distances(fractional, self.cell, self.n_neighbors)
        return self.discriminators["distances"](distances).mean(-1)
