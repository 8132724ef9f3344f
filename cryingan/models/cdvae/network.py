"""Encoder, latent vector and decoder of CDVAE."""

from __future__ import annotations

from torch import Tensor, nn

from cryingan.models.cdvae.decoder import Decoder
from cryingan.models.cdvae.encoder import Encoder


class Autoencoder(nn.Module):
    """A latent vector of a structure, and displacements that it predicts for noisy ones.

    Args:
        encoder: gives as many numbers as the latent vector has.
        decoder: takes the latent vector.
        latent: its length.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.mean, self.log_variance = nn.Linear(latent, latent), nn.Linear(latent, latent)

    def encoded(self, fractional: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latent vectors of structures, both (structures, latent)."""
        numbers = self.encoder(fractional)
        return self.mean(numbers).to(fractional), self.log_variance(numbers).to(fractional)  # from bfloat16


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of normal distributions (structures, latent) from the standard one, the mean of all.

    Example:
        >>> import torch
        >>> divergence(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor(0.5000)
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=-1).mean() / 2
