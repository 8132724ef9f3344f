"""Settings of the linear model."""

from __future__ import annotations

from dataclasses import dataclass

from cryingan.errors import CryinGANError


@dataclass
class LinearSettings:
    """How much of a set's scatter the linear model keeps; plain values, importable without torch.

    Attributes:
        components: principal components, at most one less than the training structures and three for each atom.
        noise: share s of normal noise in the code of a sample, sqrt(1 - s^2) of that of a training structure + s noise:
            1: a normal distribution; 0.6: training structures, smoothed.
        seed: every random number follows from it.

    Raises:
        CryinGANError: a value is out of range.
    """

    components: int = 24
    noise: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.components < 1:
            raise CryinGANError(f"model.components={self.components}: it must be at least 1")
        if not 0 < self.noise <= 1:
            raise CryinGANError(f"model.noise={self.noise}: it must be more than 0 and at most 1")
