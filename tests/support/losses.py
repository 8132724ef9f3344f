"""The gradient penalty as its definition, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cryingan.models.cryingan.networks import PAPER


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    mix: Tensor,
    weight: float = PAPER.penalty_weight,
) -> Tensor:
    """Mean over structures of weight * (|gradient| - 1)^2, taken between real and generated structures.

    The gradient is that of the sum of the outputs: their sum, not their mean, is drawn to slope 1.

    Args:
        discriminator: maps features (structures, atoms, features) to outputs (structures, outputs).
        real: features of real structures, shape (structures, atoms, features).
        fake: features of as many generated ones, same shape; no gradient reaches them.
        mix: share of the real structure in each interpolated one, shape (structures,).
        weight: factor of the penalty.

    Returns:
        A scalar that can be differentiated by the discriminator's parameters.
    """
    return weight * (gradient_norms(discriminator, real, fake, mix) - 1).square().mean()


def gradient_norms(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """The norm of that gradient for every structure, shape (structures,); arguments as in `gradient_penalty`."""
    mix = mix.view(-1, *[1] * (real.dim() - 1))
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1)
