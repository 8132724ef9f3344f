"""Settings of CDVAE; their defaults are those of Dismai-Bench."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from cryingan.models.denoiser_settings import DenoiserSettings


class ScaleFactors(StrEnum):
    """Where the factors that keep the variance within the decoder come from."""

    fitted = "fitted"  # from the first training structures
    published = "published"  # from the data set for which the published decoder was made


@dataclass
class CDVAESettings(DenoiserSettings):
    """Settings of `cryingan.models.cdvae.cdvae.CDVAE`.

    Attributes:
        encoder_hidden: width of the encoder's layers, even; its output blocks are twice as wide.
        encoder_blocks: interaction blocks of the encoder.
        encoder_radius: atoms within it are neighbours in the encoder, Angstrom.
        latent: numbers of the latent vector.
        hidden: width of the decoder's layers.
        triplets: width of what passes between two edges at an atom.
        basis: numbers that distances and angles become before they meet features.
        gaussians: functions that a distance is expanded in.
        blocks: interaction blocks of the decoder.
        radius: atoms within it are neighbours in the decoder, Angstrom.
        neighbors: nearest neighbours of an atom in the decoder; an edge of one of its two ends is one of both.
        scale_factors: where the decoder's scale factors come from.
        sees_level: tell the decoder the noise level, which the published one has to guess.
        encoder_rows: rows of the encoder's embedding, the atomic number choosing one; 0: one for each species.
        decoder_rows: of the decoder's embedding, likewise.
        noise_levels: their number, in equal ratios.
        sigma_max: noise of the first level of a sampler, Angstrom.
        sigma_min: noise of the last one.
        coordinate_weight: weight of the loss of the noise in what is minimised.
        kl_weight: weight of the Kullback-Leibler divergence of the latent vector.
        steps_per_level: steps of Langevin dynamics at each level.
        step_size: of the steps at the last level, Angstrom^2; as the square of the noise elsewhere. With the square of
            `sigma_min` a step goes as far as the decoder says; from twice that on steps would only lead away.
        denoise: go there once more at the end, without noise.

    Raises:
        CryinGANError: a value is out of range.
    """

    encoder_hidden: int = 128
    encoder_blocks: int = 4
    encoder_radius: float = 4.0
    latent: int = 256
    hidden: int = 128
    triplets: int = 64
    basis: int = 16
    gaussians: int = 128
    blocks: int = 3
    radius: float = 7.0
    neighbors: int = 20
    scale_factors: ScaleFactors = ScaleFactors.fitted
    sees_level: bool = False
    encoder_rows: int = 0
    decoder_rows: int = 0
    noise_levels: int = 50
    sigma_max: float = 10.0
    sigma_min: float = 0.01
    coordinate_weight: float = 10.0
    kl_weight: float = 0.01
    steps_per_level: int = 100
    step_size: float = 1e-4
    denoise: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = ("encoder_blocks", "latent", "hidden", "triplets", "basis", "blocks", "neighbors", "steps_per_level")
        for name in sizes:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("encoder_hidden", self.encoder_hidden >= 2 and self.encoder_hidden % 2 == 0, "even, at least 2")
        for name in ("gaussians", "noise_levels"):
            self._require(name, getattr(self, name) >= 2, "at least 2")
        for name in ("encoder_rows", "decoder_rows"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("encoder_radius", "radius", "sigma_min", "sigma_max", "step_size", "coordinate_weight"):
            self._require(name, 0 < getattr(self, name) < math.inf, "a number greater than 0")
        self._require("sigma_min", self.sigma_min < self.sigma_max, f"less than model.sigma_max={self.sigma_max}")
        overshoot = 2 * self.sigma_min**2
        words = (
            f"less than 2 model.sigma_min^2 = {overshoot:g}: steps would go more than twice as far as the decoder says"
        )
        self._require("step_size", self.step_size < overshoot, words)
        self._require("kl_weight", 0 <= self.kl_weight < math.inf, "at least 0")
        published = self.scale_factors == ScaleFactors.published
        self._require("scale_factors", not published or self.blocks == 3, "fitted where model.blocks is not 3")
