"""Settings of CryinGAN-comb."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryingan.models.cryingan.settings import AdversarialSettings, Pooling


@dataclass
class CombSettings(AdversarialSettings):
    """The settings of `cryingan.models.comb.comb.Comb`, besides those of every adversarial model.

    Attributes:
        pooling: of both branches of the discriminator.
        discriminator_widths: channels of each branch, before pooling.
        discriminator_learning_rate: Adam's learning rate of the discriminator.
    """

    pooling: Pooling = Pooling.avg
    discriminator_widths: list[int] = field(default_factory=lambda: [512, 512, 256])
    discriminator_learning_rate: float = 5e-5
