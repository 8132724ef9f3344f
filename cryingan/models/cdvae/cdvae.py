"""CDVAE for a fixed cell and composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.displacements import nearest_image
from cryingan.geometry.vectors import combined
from cryingan.models.cdvae.decoder import Decoder
from cryingan.models.cdvae.encoder import Encoder
from cryingan.models.cdvae.network import Autoencoder, divergence
from cryingan.models.cdvae.sampler import annealed, noise_levels
from cryingan.models.cdvae.settings import CDVAESettings, ScaleFactors
from cryingan.models.denoiser import Denoiser
from cryingan.randomness import generator

FITTED_TO = 8  # structures from which scale factors come


class CDVAE(Denoiser):
    """The crystal diffusion variational autoencoder of Xie et al., ICLR 2022 (arXiv:2110.06197).

    An encoder gives a structure a latent vector, from which a decoder learns the displacements that remove noise from
    the structure. Samples come from latent vectors of the standard normal distribution and uniform places, by annealed
    Langevin dynamics. What the published model predicts of cell, number of atoms and composition is known here.

    Networks do not see how a structure is turned, mirrored or translated: samples are brought to where the training
    structures stand.

    Logged as by `cryingan.models.denoiser.Denoiser`: `loss`, half of the square of what the decoder misses of the
    noise, in units of the noise, per atom, 1.3 to 1.5 where it knows nothing; `kl`, the Kullback-Leibler divergence of
    the latent vectors. Minimised is their sum with `coordinate_weight` and `kl_weight`.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of Dismai-Bench when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.cdvae.settings.CDVAESettings` that differ from `settings`.

    Example:
        >>> from cryingan.models.cdvae.cdvae import CDVAE
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> sizes = {"encoder_hidden": 4, "latent": 4, "hidden": 4, "triplets": 4, "basis": 4, "gaussians": 4}
        >>> model = CDVAE(cell, ["Li", "Li", "Cl"], **sizes, noise_levels=5)
        >>> model.sample(2, seed=1, steps_per_level=2).fractional.shape
        (2, 3, 3)
    """

    kind = "cdvae"
    settings_type = CDVAESettings
    translation_invariant = True
    rotation_invariant = True
    sampler_keys = ("steps_per_level", "step_size", "denoise")
    quantities: ClassVar[tuple[str, ...]] = ("loss", "kl")

    @property
    def batch_size(self) -> int:
        """Structures that are generated at a time: on a CPU one."""
        return 1 if self.device.type == "cpu" else super().batch_size

    def build(self, settings: CDVAESettings) -> None:
        """Networks and noise levels."""
        super().build(settings)
        sigmas = noise_levels(settings.sigma_max, settings.sigma_min, settings.noise_levels)
        self.register_buffer("sigmas", sigmas.float(), persistent=False)
        self.inverse = np.linalg.inv(self.cell.numpy())

    def make_network(self, settings: CDVAESettings) -> Autoencoder:
        """Encoder and decoder."""
        encoder = Encoder(
            self.cell,
            *self._species_rows("encoder_rows"),
            settings.encoder_hidden,
            settings.encoder_blocks,
            settings.encoder_radius,
            settings.latent,
        )
        names = ("latent", "hidden", "triplets", "basis", "gaussians", "blocks", "radius", "neighbors", "sees_level")
        decoder = Decoder(
            self.cell,
            *self._species_rows("decoder_rows"),
            **{name: getattr(settings, name) for name in names},
            published=settings.scale_factors == ScaleFactors.published,
        )
        return Autoencoder(encoder, decoder, settings.latent)

    def on_fit_start(self) -> None:
        """Fit scale factors to the first training structures, unless a checkpoint brought them."""
        super().on_fit_start()
        decoder = self.network.decoder
        unfitted = all(float(block.of_atoms.factor) == 1 for block in decoder.blocks)
        if self.hparams.scale_factors == ScaleFactors.fitted and unfitted:
            first = torch.from_numpy(self.training_structures()[:FITTED_TO].fractional).to(self.device, self.dtype)
            source = generator(self.hparams.seed, "scale", device=self.device)
            shares = torch.arange(len(first), device=self.device) / len(first)
            decoder.fit_scales(*self.noisy(first, shares, source)[:3])

    def noisy(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> tuple[Tensor, ...]:
        """Structures with noise of a level, what the decoder knows of them, and what it should answer.

        Args:
            fractional: training structures, shape (structures, atoms, 3).
            shares: of the range of levels, in [0, 1), shape (structures,).
            source: of the noise and of the latent vectors.

        Returns:
            Fractional coordinates (structures, atoms, 3), latent vectors (structures, latent), levels from 0 to 1000
            (structures,), shortest vectors back over the noise (structures, atoms, 3), and the divergence of the latent
            vectors.
        """
        levels = (shares * len(self.sigmas)).long().clamp_max(len(self.sigmas) - 1)
        mean, log_variance = self.network.encoded(fractional)
        random = {"generator": source, "device": fractional.device, "dtype": fractional.dtype}
        latent = mean + (log_variance / 2).exp() * torch.randn(mean.shape, **random)
        sigma = self.sigmas[levels][:, None, None]
        noise = combined(sigma * torch.randn(fractional.shape, **random), self.inverse)
        back = nearest_image(-noise, self.cell) / sigma
        return (fractional + noise) % 1.0, latent, self._times(levels), back, divergence(mean, log_variance)

    def _times(self, levels: Tensor) -> Tensor:
        """Levels as the decoder sees them."""
        return levels.to(self.dtype) * (1000 / len(self.sigmas))

    def losses(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> dict[str, Tensor]:
        """The loss of the noise, and the divergence of the latent vectors."""
        seen, latent, times, back, kl = self.noisy(fractional, shares, source)
        apart = self.network.decoder(seen, latent, times) - back
        return {"loss": apart.square().sum(dim=-1).mean() / 2, "kl": kl}

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return self.hparams.coordinate_weight * losses["loss"] + self.hparams.kl_weight * losses["kl"]

    def generate(
        self,
        sources: Sequence[torch.Generator],
        steps_per_level: int | None = None,
        step_size: float | None = None,
        denoise: bool | None = None,
    ) -> Tensor:
        """Decode normal latent vectors, from uniform places.

        Hundreds of passes amplify the rounding of the first ones until it decides where atoms go, in double precision
        too, and batches round by their size. So on a CPU, where it costs little, structures go one by one.

        Args:
            sources: one for each structure.
            steps_per_level: steps at each level; None: `settings.steps_per_level`.
            step_size: of the steps at the last level, Angstrom^2; None: `settings.step_size`.
            denoise: a last step without noise; None: `settings.denoise`.

        Returns:
            Fractional coordinates, shape (structures, atoms, 3), grouped.
        """
        drawn = torch.stack([torch.randn(self.hparams.latent, generator=one) for one in sources])
        latent, size = drawn.to(self.device, self.dtype), 1 if self.device.type == "cpu" else len(sources)
        parts = [(latent[k : k + size], sources[k : k + size]) for k in range(0, len(sources), size)]
        return torch.cat([self.decoded(*part, steps_per_level, step_size, denoise) for part in parts])

    def decoded(
        self,
        latent: Tensor,
        sources: Sequence[torch.Generator],
        steps_per_level: int | None = None,
        step_size: float | None = None,
        denoise: bool | None = None,
    ) -> Tensor:
        """Structures of latent vectors (structures, latent); other arguments and result as in `generate`."""
        decoder = self.network.decoder

        def at_level(fractional: Tensor, level: int) -> Tensor:
            levels = torch.full((len(fractional),), level, device=self.device)
            return decoder(fractional, latent, self._times(levels))

        return annealed(
            self.draw(sources, uniform=True),
            self.cell,
            at_level,
            self.sigmas.double(),
            self.hparams.steps_per_level if steps_per_level is None else steps_per_level,
            self.hparams.step_size if step_size is None else step_size,
            self.hparams.denoise if denoise is None else denoise,
            lambda: self.draw(sources),
        )
