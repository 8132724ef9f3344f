"""A discriminator's passes one by one: forward, back to its inputs, and a tangent forward again.

The discriminator is piecewise linear: its leaky units pass a signal on with slope 1 or 0.2, its pooling averages or
selects. The passes hold these slopes and selections as the forward pass found them.

With a stacked discriminator (`cryingan.models.cryingan.networks`) everything has one more axis in front.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from cryingan.models.cryingan.networks import LEAKY_SLOPE, Discriminator, affine
from cryingan.models.cryingan.settings import Pooling


class Layers:
    """Linear layers and the leaky units behind them, with what passes through.

    Attributes:
        passed: what every layer takes in, and what the last one gives after its units.
        slopes: the gradient by what every layer gives before its units.
        outputs: what the last layer gives.
    """

    def __init__(self, modules: nn.Sequential, inputs: Tensor) -> None:
        self.linear = [module for module in modules if isinstance(module, nn.Linear)]
        self.n_bent = len(modules) - len(self.linear)  # layers with units; the last of all has none
        self.passed, self.slopes = [inputs], []
        for number, layer in enumerate(self.linear):
            y = layer(self.passed[-1])
            self.passed.append(leaky_relu_(y, LEAKY_SLOPE) if number < self.n_bent else y)
        self.outputs = self.passed[-1]

    def back(self, slope: Tensor) -> Tensor:
        """Take the gradient by the outputs, which is kept or overwritten, back to what the first layer gives."""
        self.slopes = []
        for number in reversed(range(len(self.linear))):
            if number < self.n_bent:
                _through_leaky(slope, self.passed[number + 1], into=slope)
            self.slopes.insert(0, slope)
            slope = self.by_inputs(slope, number) if number else slope
        return slope

    def by_inputs(self, slope: Tensor, number: int = 0) -> Tensor:
        """The gradient by what a layer takes in, from that by what it gives."""
        return affine(slope, self.linear[number].weight.mT)

    def carry(self, tangent: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Carry a tangent of some structures' inputs forward, without biases, and keep it in place of what they passed.

        What belongs to these structures is what `part` takes. Returns what the last layer with units makes of it.
        """
        part(self.passed[0]).copy_(tangent)
        for number, layer in enumerate(self.linear[: self.n_bent]):
            values = part(self.passed[number + 1])
            _through_leaky(affine(tangent, layer.weight), values, into=values)
            tangent = values
        return tangent


class Passes:
    """The passes of features (..., structures, atoms, features) through layers of atoms, pooling and head."""

    def __init__(self, discriminator: Discriminator, features: Tensor) -> None:
        self.atoms = Layers(discriminator.per_atom, features)
        self.pool = HeldPooling(discriminator, self.atoms.outputs)
        self.head = Layers(discriminator.per_structure, self.pool(self.atoms.outputs))
        self.outputs = self.head.outputs

    def back(self, slope: Tensor) -> Tensor:
        """Take the gradient by the outputs, which is kept, back to what the first layer of the atoms gives."""
        return self.atoms.back(self.pool.transposed(self.head.by_inputs(self.head.back(slope))))

    def carry(self, tangent: Tensor, part: Callable[[Tensor], Tensor]) -> None:
        """Carry a tangent of some structures' features forward; arguments as in `Layers.carry`."""
        self.head.carry(self.pool(self.atoms.carry(tangent, part), part), part)


class HeldPooling:
    """The pooling of a discriminator with the maxima held where they are for the structures given first.

    A maximum has the whole gradient in one atom. Where atoms tie, the first of them has it; rounding may break a tie
    otherwise, and differently for each channel. Outputs do not depend on that, but the gradient penalty does: it takes
    the norm over atoms, which is that of a sum where all channels choose one atom, and that of the parts otherwise.
    Each is a subgradient.
    """

    def __init__(self, discriminator: Discriminator, atoms: Tensor) -> None:
        self.counts, self.pooling = discriminator.counts, discriminator.pooling
        if self.pooling is not Pooling.avg:
            self.chosen = [species.argmax(dim=-2, keepdim=True) for species in atoms.split(self.counts, dim=-2)]

    def __call__(self, atoms: Tensor, part: Callable[[Tensor], Tensor] = lambda whole: whole) -> Tensor:
        """(structures, atoms, width) -> (structures, species x width, or 2 width for mix), linear in `atoms`.

        Where `atoms` are of some structures only, `part` takes what belongs to these.
        """
        pooled = []
        for number, species in enumerate(atoms.split(self.counts, dim=-2)):
            if self.pooling is not Pooling.avg:
                pooled.append(species.gather(-2, part(self.chosen[number])).squeeze(-2))
            if self.pooling is not Pooling.max:
                pooled.append(species.mean(dim=-2))
        return torch.cat(pooled, dim=-1)

    def transposed(self, pooled: Tensor) -> Tensor:
        """The transpose of that map: (structures, species x width or 2 width) -> (structures, atoms, width)."""
        parts = pooled.unflatten(-1, (len(self.counts), 2 if self.pooling is Pooling.mix else 1, -1))
        atoms = pooled.new_empty(*pooled.shape[:-1], sum(self.counts), parts.shape[-1])
        for number, species in enumerate(atoms.split(self.counts, dim=-2)):
            if self.pooling is Pooling.max:
                species.zero_()
            else:
                species.copy_(parts[..., number, -1:, :] / self.counts[number])
            if self.pooling is not Pooling.avg:
                species.scatter_add_(-2, self.chosen[number], parts[..., number, :1, :])
        return atoms


def _through_leaky(signal: Tensor, values: Tensor, into: Tensor) -> None:
    """Write a signal times the slopes of leaky units that gave `values`; all three may be the same."""
    torch.ops.aten.leaky_relu_backward.grad_input(signal, values, LEAKY_SLOPE, True, grad_input=into)
