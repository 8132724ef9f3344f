"""The generator's forward pass where no gradient is wanted, in fewer passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor

from cryingan.models.cryingan.arena import Arena
from cryingan.models.cryingan.networks import BatchNorm, Generator, affine

ROWS_AT_ONCE = 1024  # of a CPU: what they need stays in its cache


@torch.no_grad()
def generate(generator: Generator, noise: Tensor, arena: Arena) -> Tensor:
    """What `generator(noise)` gives, without a gradient.

    Args:
        generator: one network or stacked ones; in training mode the running statistics are updated.
        noise: shape (structures, latent_dim).
        arena: memory that is kept for the next call.

    Returns:
        Fractional coordinates (structures, atoms, 3).
    """
    rows = noise.shape[-2] * generator.n_atoms * 3
    alone, large = generator.latent.weight.dim() == 2, arena.serves((rows, min(generator.widths)), noise)
    if not (generator.training and alone and large):
        return generator(noise)
    layers = generator.layers
    x = layers[0](generator.atoms(noise))
    with arena.frame():
        for norm, linear in zip(layers[1::3], layers[3::3], strict=True):
            scale, shift = _normalization(norm, x)
            room = arena.take((len(x), len(linear.weight)), x)
            following = x.new_empty(len(x), len(linear.weight)) if room is None else room
            for some, outputs in zip(x.split(ROWS_AT_ONCE), following.split(ROWS_AT_ONCE), strict=True):
                with arena.frame():
                    hidden = torch.addcmul(shift, some, scale, out=arena.take(some.shape, some)).relu_()
                    affine(hidden, linear.weight, linear.bias, outputs)
            x = following
        return generator.coordinates(x)


def _normalization(norm: BatchNorm, x: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and the summand (channels,) by which `norm` in training mode normalises x (rows, channels)."""
    norm.num_batches_tracked.add_(1)
    mean, variance = torch.batch_norm_update_stats(x, norm.running_mean, norm.running_var, norm.momentum)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return scale, norm.bias - mean * scale
