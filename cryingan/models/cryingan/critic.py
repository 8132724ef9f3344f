"""Loss terms of a discriminator and their gradients in closed form, without a graph or a second backward pass.

With the slopes of its units and the selections of its pooling held, layer i of a discriminator maps z_{i-1} to
W_i z_{i-1} + b_i, and

1. d_i, the gradient of the sum of the outputs by what layer i gives, is a product of the layers after it;
2. g = d_1 W_1, the gradient by the input, is linear in every W_i. So the penalty, a function of g with the gradient t,
   has by W_i the gradient d_i^T t_{i-1}, where t_i is t carried through i layers without their biases; by b_i it has
   none.

Real, generated and interpolated structures go through in one batch, the three kinds side by side on an axis of their
own, and so do the last products, which give the gradients of the weights: they take z_{i-1} of the first two and
t_{i-1} of the third. `cryingan.models.cryingan.critic_passes` has the passes. All results are sums over structures, so
a CPU takes them in parts if there are many atoms, which bounds the memory.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cryingan.linear_algebra import transposed_product
from cryingan.models.cryingan.critic_passes import Layers, Passes
from cryingan.models.cryingan.networks import PAPER, Discriminator

ATOMS_AT_ONCE = 10_000  # on a CPU, 310 MiB; with 2,000 a batch of 32 structures of 264 takes 2 % more time
REAL, FAKE, BETWEEN = range(3)


class CriticTerms(NamedTuple):
    """Scalars of one discriminator's step: mean outputs, penalty, and the loss, penalty - (real - fake).

    The norm is the mean of what the penalty draws to 1, the norm of the gradient by the interpolated structures. Only
    the loss has a gradient, by the discriminator's parameters. For stacked ones there is a number for each.
    """

    loss: Tensor
    real: Tensor
    fake: Tensor
    penalty: Tensor
    norm: Tensor


def score_difference(real_outputs: Tensor, fake_outputs: Tensor) -> Tensor:
    """Mean score of real minus mean score of generated structures, from outputs (structures, outputs).

    The discriminator maximises it, the generator minimises it by raising its scores. Divided by the Lipschitz constant
    of the score it is a lower bound of the Wasserstein distance (Arjovsky et al. 2017, eq. 2), so it is an estimate of
    it only where the gradient norm is near that constant everywhere.
    """
    return real_outputs.mean() - fake_outputs.mean()


def critic_terms(
    discriminator: Discriminator, real: Tensor, fake: Tensor, mix: Tensor, weight: float = PAPER.penalty_weight
) -> CriticTerms:
    """The penalty, mean of weight * (|gradient| - 1)^2, minus the `score_difference` (paper, SI), and their parts.

    The gradient is that of the sum of the outputs: their sum, not their mean, is drawn to slope 1.

    Args:
        discriminator: gives outputs (structures, outputs).
        real: features of real structures, shape (structures, atoms, features).
        fake: features of as many generated ones, same shape; no gradient reaches them.
        mix: share of the real structure in each interpolated one, shape (structures,).
        weight: factor of the penalty.
    """
    return CriticTerms(*_ClosedForm.apply(discriminator, (real, fake, mix), weight, *discriminator.parameters()))


class _ClosedForm(torch.autograd.Function):
    """Compute the gradients of the parameters in the forward pass; the backward pass only scales them."""

    @staticmethod
    def forward(
        context: Any, discriminator: Discriminator, given: tuple[Tensor, ...], weight: float, *_: Tensor
    ) -> tuple[Tensor, ...]:
        totals: list[Tensor] = []
        for part in zip(*(_split(whole, given[0]) for whole in given), strict=True):
            sums = _both_ways(discriminator, part, weight, given[0].shape[-3])
            totals = [total.add_(more) for total, more in zip(totals, sums, strict=True)] if totals else sums
        scores, penalty, norm, *gradients = totals
        real, fake = scores.unbind(-1)
        context.save_for_backward(*gradients)
        context.mark_non_differentiable(real, fake, penalty, norm)
        return penalty - (real - fake), real, fake, penalty, norm

    @staticmethod
    @once_differentiable
    def backward(context: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (g * scale.reshape(scale.shape + (1,) * (g.dim() - scale.dim())) for g in context.saved_tensors)
        return None, None, None, *scaled


def _split(values: Tensor, features: Tensor) -> tuple[Tensor, ...]:
    """Split values along the structures into parts of at most `ATOMS_AT_ONCE` atoms, on a CPU."""
    parts = math.ceil(features.shape[:-1].numel() / ATOMS_AT_ONCE) if features.device.type == "cpu" else 1
    return values.tensor_split(min(parts, features.shape[-3]), dim=features.dim() - 3)


def _both_ways(discriminator: Discriminator, given: tuple[Tensor, ...], weight: float, structures: int) -> list[Tensor]:
    """What some structures add to means over all `structures`: outputs (real, generated), penalty, norm, gradients."""
    real, fake, mix = given
    axis = real.dim() - 3  # of the kinds, before that of the structures
    mix = mix[..., None, None]
    passes = Passes(discriminator, torch.stack([real, fake, mix * real + (1 - mix) * fake], dim=axis))
    scores = passes.outputs.narrow(axis, 0, 2).to(real.dtype).mean(dim=-1).sum(dim=-1) / structures
    penalty, norm = _there_and_back(passes, weight, structures, axis)
    return [scores, penalty, norm, *(g for layers in (passes.atoms, passes.head) for g in _gradients(layers, axis))]


def _there_and_back(passes: Passes, weight: float, structures: int, axis: int) -> tuple[Tensor, Tensor]:
    """Return the gradient penalty and the mean norm, and leave t in place of what interpolated structures passed."""

    def between(values: Tensor) -> Tensor:
        return values.select(axis, BETWEEN)

    slope = torch.ones_like(passes.outputs)
    each = 1 / (structures * slope.shape[-1])
    slope.select(axis, REAL).fill_(-each)
    slope.select(axis, FAKE).fill_(each)
    features = passes.atoms.passed[0]
    gradient = passes.atoms.by_inputs(between(passes.back(slope))).to(features.dtype)
    norm = torch.linalg.vector_norm(gradient, dim=(-2, -1), keepdim=True)
    excess = norm - 1
    divisor = norm.masked_fill(norm == 0, torch.inf)  # the norm has no gradient at 0; zero is as good as any
    passes.carry(gradient * (2 * weight / structures * excess / divisor), between)
    penalty = weight * excess.square().flatten(-3).sum(dim=-1) / structures
    return penalty, norm.flatten(-3).sum(dim=-1) / structures


def _gradients(layers: Layers, axis: int) -> list[Tensor]:
    """Gradients of the loss by weight and bias of every layer."""
    found = []
    for layer, slopes, inputs in zip(layers.linear, layers.slopes, layers.passed[:-1], strict=True):
        weight = transposed_product(slopes.flatten(axis, -2), inputs.flatten(axis, -2))
        # Real and generated apart: the last layer's halves are opposite and have to cancel to the last bit.
        halves = slopes.narrow(axis, 0, 2)
        if layer.bias.dim() < layer.weight.dim():
            halves = halves.flatten(axis + 1, -2)
        bias = halves.sum(dim=axis + 1).sum(dim=axis)
        found += [weight.to(layer.weight.dtype), bias.to(layer.bias.dtype)]
    return found


def mean_score(discriminator: Discriminator, features: Tensor) -> Tensor:
    """Return the mean of a discriminator's outputs for features (structures, atoms, features); of stacked ones of each.

    It has a gradient by the features and none by the parameters. Lightning disables autocast's weight cache; with the
    cache on, the weights are those at the start of the region.
    """
    return _Score.apply(discriminator, features)


def _score(discriminator: Discriminator, features: Tensor, gradient: Tensor) -> Tensor:
    """The mean output for every structure; the gradient of the sum of the outputs is written."""
    passes = Passes(discriminator, features)
    gradient.copy_(passes.atoms.by_inputs(passes.back(torch.ones_like(passes.outputs))))
    return passes.outputs.to(features.dtype).mean(dim=-1)


class _Score(torch.autograd.Function):
    """Compute the gradient in the forward pass, too."""

    @staticmethod
    def forward(context: Any, discriminator: Discriminator, features: Tensor) -> Tensor:
        gradient = torch.empty_like(features)
        parts = zip(_split(features, features), _split(gradient, features), strict=True)
        scores = torch.cat([_score(discriminator, part, found) for part, found in parts], dim=-1)
        context.save_for_backward(gradient)
        context.outputs = features.shape[-3] * discriminator.per_structure[-1].out_features
        return scores.mean(dim=-1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = context.saved_tensors
        return None, gradient * (scale / context.outputs)[..., None, None, None]
