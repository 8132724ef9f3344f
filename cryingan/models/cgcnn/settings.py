"""Settings of a CryinGAN with a crystal graph discriminator."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.settings import AdversarialSettings


@dataclass
class CGCNNSettings(AdversarialSettings):
    """The settings of `cryingan.models.cgcnn.cgcnn.CGCNN`, besides those of every adversarial model.

    Sizes of the graph network are those of Xie and Grossman (2018).

    Attributes:
        n_neighbors: neighbours of an atom in the graph.
        features: numbers per atom.
        convolutions: rounds in which atoms learn of their neighbours.
        gaussians: functions that a distance is expanded in.
        radius: centre of the last of them, Angstrom; the first is at 0, and their width is the distance between two.
        head_widths: widths of the layers after pooling.
        discriminator_learning_rate: Adam's learning rate of the discriminator.

    Raises:
        CryinGANError: a value is out of range.
    """

    n_neighbors: int = 12
    features: int = 64
    convolutions: int = 3
    gaussians: int = 41
    radius: float = 8.0
    head_widths: list[int] = field(default_factory=lambda: [128])
    discriminator_learning_rate: float = 5e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gaussians < 2:
            raise CryinGANError(f"model.gaussians={self.gaussians}: it must be at least 2")
        if not 0 < self.radius < math.inf:
            raise CryinGANError(f"model.radius={self.radius}: it must be a length in Angstrom, more than 0")
