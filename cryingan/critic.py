"""A discriminator's loss with its parameter gradients in closed form: no second backward pass.

The discriminator is piecewise linear: its leaky units pass a signal on with slope 1 or 0.2, its pooling averages or
selects. With these slopes and selections held, layer i maps z_{i-1} to W_i z_{i-1} + b_i, and

1. d_i, the gradient of the sum of the outputs by what layer i gives, is a product of the layers after it;
2. g = d_1 W_1, the gradient by the input, is linear in every W_i. So the penalty, a function of g with the gradient t,
   has by W_i the gradient d_i^T t_{i-1}, where t_i is t carried through i layers without their biases; by b_i it has
   none.

Real, generated and interpolated structures go through in one batch, and so do the last products, which give the
gradients of the weights: they take z_{i-1} of the first two and t_{i-1} of the third. All are sums over structures, so
a CPU, which touches fresh memory slowly, works on some structures at a time.

With a stacked discriminator (`cryingan.networks`) everything has its axis in front, and each network its own terms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu_

from cryingan.networks import LEAKY_SLOPE, Discriminator, Pooling, affine

ATOMS_AT_ONCE = 2048  # on a CPU; half or twice as many are 2 to 4 % slower, a batch of 32 x 264 in one go 14 %


class CriticTerms(NamedTuple):
    """Scalars of one discriminator's step; of stacked ones, a number for each.

    Attributes:
        loss: penalty - (real - fake); the only one with a gradient, by the discriminator's parameters.
        real: mean output for real structures.
        fake: mean output for generated ones.
        penalty: gradient penalty.
    """

    loss: Tensor
    real: Tensor
    fake: Tensor
    penalty: Tensor


def critic_terms(
    discriminator: Discriminator, real: Tensor, fake: Tensor, alpha: Tensor, weight: float = 10.0
) -> CriticTerms:
    """`gradient_penalty` minus `wasserstein` (paper, SI): the same numbers and gradients at less cost.

    Args:
        discriminator: gives outputs (structures, outputs).
        real: features of real structures, shape (structures, atoms, features).
        fake: features of as many generated ones, same shape; no gradient reaches them.
        alpha: share of the real structure in each interpolated one, shape (structures,).
        weight: factor of the penalty.

    Returns:
        The loss and its parts.
    """
    return CriticTerms(*_ClosedForm.apply(discriminator, (real, fake, alpha), weight, *discriminator.parameters()))


class _ClosedForm(torch.autograd.Function):
    """Finds the gradients of the parameters on the way forward; the way back only scales them."""

    @staticmethod
    def forward(
        context: Any, discriminator: Discriminator, given: tuple[Tensor, ...], weight: float, *_: Tensor
    ) -> tuple[Tensor, ...]:
        totals: list[Tensor] = []
        axis, structures = given[0].dim() - 3, given[0].shape[-3]
        parts = (part.tensor_split(_blocks(given[0]), dim=axis) for part in given)
        for real, fake, alpha in zip(*parts, strict=True):
            share = alpha[..., None, None]
            stacked = torch.cat([real, fake, share * real + (1 - share) * fake], dim=axis)
            critic = _Critic(discriminator, stacked, structures)
            sums = [critic.scores(), critic.penalty(weight), *critic.gradients()]
            totals = [total.add_(part) for total, part in zip(totals, sums, strict=True)] if totals else sums
        scores, penalty, *gradients = totals
        real, fake, _between = scores.unbind(-1)
        context.save_for_backward(*gradients)
        context.mark_non_differentiable(real, fake, penalty)
        return penalty - (real - fake), real, fake, penalty

    @staticmethod
    @once_differentiable
    def backward(context: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        scaled = (g * scale.reshape(scale.shape + (1,) * (g.dim() - scale.dim())) for g in context.saved_tensors)
        return None, None, None, *scaled


def _blocks(atoms: Tensor) -> int:
    """Into how many parts a batch (structures, atoms, features) is divided."""
    if atoms.device.type != "cpu":
        return 1
    return min(atoms.shape[-3], max(1, round(atoms.shape[:-1].numel() / ATOMS_AT_ONCE)))


class _Critic:
    """The passes of a discriminator over real, generated and interpolated structures, stacked in this order.

    Means in the loss are over `structures` of each kind; every method gives the share of those that are stacked here.
    `penalty` replaces what the layers took in and gave for the last third: it is called once, and before `gradients`.

    Attributes:
        inputs: what each layer takes in: z_{i-1}, or its pooled form.
        values: what each hidden layer gives after its leaky units.
        slopes: d_i of every structure, times its weight in the loss for the first two thirds.
    """

    def __init__(self, discriminator: Discriminator, stacked: Tensor, structures: int) -> None:
        self.structures = structures
        modules = [*discriminator.per_atom, *discriminator.per_structure]
        self.layers = [module for module in modules if isinstance(module, nn.Linear)]
        self.head = len(discriminator.per_atom) // 2
        self.axis = stacked.dim() - 3  # of the structures: 0, or 1 behind that of stacked networks
        self.inputs, self.values = [stacked], []
        for number, layer in enumerate(self.layers[:-1], start=1):
            self.values.append(leaky_relu_(layer(self.inputs[-1]), LEAKY_SLOPE))
            if number == self.head:
                self.pool = _HeldPooling(discriminator, self.values[-1])
            self.inputs.append(self.pool(self.values[-1]) if number == self.head else self.values[-1])
        self.outputs = self.layers[-1](self.inputs[-1])
        self.slopes = self._slopes()

    def _between(self, values: Tensor) -> Tensor:
        return values.chunk(3, dim=self.axis)[-1]

    def _slopes(self) -> list[Tensor]:
        slope = torch.ones_like(self.outputs)
        real, fake, _ = slope.chunk(3, dim=self.axis)
        each = 1 / (self.structures * slope.shape[-1])
        real.fill_(-each)
        fake.fill_(each)
        slopes = [slope]
        for number in range(len(self.layers) - 1, 0, -1):
            slope = affine(slope, self.layers[number].weight.mT)
            if number == self.head:
                slope = self.pool.transposed(slope)
            slope = _through_leaky(slope, self.values[number - 1])
            slopes.insert(0, slope)
        return slopes

    def scores(self) -> Tensor:
        """The mean outputs for real, generated and interpolated structures, shape (3,)."""
        means = self.outputs.to(self.inputs[0].dtype).mean(dim=-1)
        return means.unflatten(-1, (3, -1)).sum(dim=-1) / self.structures

    def penalty(self, weight: float) -> Tensor:
        """The gradient penalty; in its course t takes the place of the interpolated structures' values."""
        first = self._between(self.inputs[0])
        gradient = affine(self._between(self.slopes[0]), self.layers[0].weight.mT).to(first.dtype)
        norm = torch.linalg.vector_norm(gradient, dim=(-2, -1), keepdim=True)
        excess = norm - 1
        flat = norm == 0  # the norm has no gradient there; zero is as good as any
        first.copy_(gradient * (2 * weight / self.structures * excess / norm.masked_fill(flat, torch.inf)))
        carried = first
        for number, layer in enumerate(self.layers[:-1], start=1):
            values = self._between(self.values[number - 1])
            carried = values.copy_(_through_leaky(affine(carried, layer.weight), values))
            if number == self.head:
                carried = self._between(self.inputs[number]).copy_(self.pool(carried, self._between))
        return weight * excess.square().flatten(-3).sum(dim=-1) / self.structures

    def gradients(self) -> list[Tensor]:
        """Gradients of the loss by weight and bias of every layer, in the order of the parameters."""
        found = []
        for layer, slopes, inputs in zip(self.layers, self.slopes, self.inputs, strict=True):
            rows = slopes.flatten(self.axis, -2)
            found.append((rows.mT @ inputs.flatten(self.axis, -2)).to(layer.weight.dtype))
            # Real and generated apart: the last layer's halves are opposite and have to cancel to the last bit.
            halves = rows.unflatten(-2, (3, -1)).narrow(-3, 0, 2)
            found.append(halves.sum(dim=-2).sum(dim=-2).to(layer.bias.dtype))
        return found


class _HeldPooling:
    """The pooling of a discriminator with the maxima held where they are for the structures given first."""

    def __init__(self, discriminator: Discriminator, atoms: Tensor) -> None:
        self.counts, self.pooling, self.n_atoms = discriminator.counts, discriminator.pooling, atoms.shape[-2]
        if self.pooling is not Pooling.AVG:
            self.chosen = [species.argmax(dim=-2, keepdim=True) for species in atoms.split(self.counts, dim=-2)]

    def __call__(self, atoms: Tensor, part: Callable[[Tensor], Tensor] = lambda whole: whole) -> Tensor:
        """(structures, atoms, width) -> (structures, species x width, or 2 width for mix), linear in `atoms`.

        Where `atoms` are of some structures only, `part` takes what belongs to these.
        """
        pooled = []
        for number, species in enumerate(atoms.split(self.counts, dim=-2)):
            if self.pooling is not Pooling.AVG:
                pooled.append(species.gather(-2, part(self.chosen[number])).squeeze(-2))
            if self.pooling is not Pooling.MAX:
                pooled.append(species.mean(dim=-2))
        return torch.cat(pooled, dim=-1)

    def transposed(self, pooled: Tensor) -> Tensor:
        """The transpose of that map: (structures, species x width or 2 width) -> (structures, atoms, width)."""
        parts = pooled.unflatten(-1, (len(self.counts), 2 if self.pooling is Pooling.MIX else 1, -1))
        atoms = pooled.new_zeros(*pooled.shape[:-1], self.n_atoms, parts.shape[-1])
        for number, species in enumerate(atoms.split(self.counts, dim=-2)):
            if self.pooling is not Pooling.MAX:
                species += parts[..., number, -1:, :] / self.counts[number]
            if self.pooling is not Pooling.AVG:
                species.scatter_add_(-2, self.chosen[number], parts[..., number, :1, :])
        return atoms


def _through_leaky(signal: Tensor, values: Tensor) -> Tensor:
    """A signal times the slopes of leaky units that gave `values`, in place."""
    return torch.ops.aten.leaky_relu_backward.grad_input(signal, values, LEAKY_SLOPE, True, grad_input=signal)
