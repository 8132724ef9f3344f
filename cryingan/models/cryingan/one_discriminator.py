"""A CryinGAN with a single discriminator of any kind: what the variants share."""

from __future__ import annotations

from torch import Tensor, nn

from cryingan.models.cryingan import double_backward
from cryingan.models.cryingan.adversarial import AdversarialModel
from cryingan.models.cryingan.settings import AdversarialSettings


class OneDiscriminator(AdversarialModel):
    """Generator, training and samples of a CryinGAN with one discriminator, which autograd differentiates.

    A batch holds fractional coordinates (structures, atoms, 3). A subclass has a `kind`, a `settings_type`,
    `discriminator` and, where the discriminator takes more than coordinates, `seen`. What is logged is named as in
    `cryingan.models.cryingan.adversarial.AdversarialModel`, with `discriminator` as the name of the only one.
    """

    critic_terms = staticmethod(double_backward.critic_terms)
    mean_score = staticmethod(double_backward.mean_score)

    def discriminator(self, settings: AdversarialSettings) -> nn.Module:
        """The discriminator: from what `seen` returns to outputs (structures, outputs)."""
        raise NotImplementedError(f"{type(self).__name__} has no `discriminator`")

    def seen(self, fractional: Tensor) -> Tensor:
        """What the discriminator takes of structures (structures, atoms, 3), also between real and generated ones."""
        return fractional

    def build_discriminators(self, settings: AdversarialSettings) -> dict[str, nn.Module]:
        """The discriminator by its name."""
        self.weights = {"discriminator": 1.0}
        return {"discriminator": self.discriminator(settings)}

    def real_features(self, batch: Tensor) -> dict[str, Tensor]:
        """As `features`."""
        return self.features(batch)

    def features(self, fractional: Tensor) -> dict[str, Tensor]:
        """What `seen` returns, by the name of the discriminator."""
        return {"discriminator": self.seen(fractional)}
