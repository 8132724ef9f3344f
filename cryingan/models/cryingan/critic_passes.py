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

from cryingan.models.cryingan.arena import Arena
from cryingan.models.cryingan.networks import LEAKY_SLOPE, Discriminator, affine
from cryingan.models.cryingan.settings import Pooling


class Layers:
    """Linear layers and the leaky units behind them, with what passes through.

    Attributes:
        passed: what every layer takes in, and what the last one gives after its units.
        slopes: the gradient by what every layer gives before its units.
    """

    def __init__(self, modules: nn.Sequential, inputs: Tensor, arena: Arena) -> None:
        self.linear = [module for module in modules if isinstance(module, nn.Linear)]
        self.n_bent = len(modules) - len(self.linear)  # layers with units; the last of all has none
        self.arena, self.passed, self.slopes = arena, [inputs], []
        for number, layer in enumerate(self.linear):
            x = self.passed[-1]
            room = self._room(x, layer.weight)
            y = layer(x) if room is None else affine(x, layer.weight, layer.bias, room)
            self.passed.append(leaky_relu_(y, LEAKY_SLOPE) if number < self.n_bent else y)

    @property
    def outputs(self) -> Tensor:
        """What the last layer gives."""
        return self.passed[-1]

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
        weight = self.linear[number].weight.mT
        return affine(slope, weight, out=self._room(slope, weight))

    def carry(self, tangent: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Carry a tangent of some structures forward, without biases, and keep it in place of what they passed.

        Args:
            tangent: of the inputs.
            part: takes what belongs to these structures.

        Returns:
            What the last layer with units makes of it.
        """
        part(self.passed[0]).copy_(tangent)
        for number, layer in enumerate(self.linear[: self.n_bent]):
            values = part(self.passed[number + 1])
            with self.arena.frame():
                product = affine(tangent, layer.weight, out=self._room(tangent, layer.weight))
                _through_leaky(product, values, into=values)
            tangent = values
        return tangent

    def _room(self, inputs: Tensor, weight: Tensor) -> Tensor | None:
        return self.arena.take((*inputs.shape[:-1], weight.shape[-2]), inputs)


class Passes:
    """The passes through layers of atoms, pooling and head.

    Args:
        discriminator: gives outputs (..., structures, outputs).
        features: (..., structures, atoms, features).
        arena: where it all is kept; the caller's frame has to outlive this.
    """

    def __init__(self, discriminator: Discriminator, features: Tensor, arena: Arena) -> None:
        self.arena = arena
        self.atoms = Layers(discriminator.per_atom, features, arena)
        self.pool = HeldPooling(discriminator, self.atoms.outputs)
        self.head = Layers(discriminator.per_structure, self.pool(self.atoms.outputs), arena)

    @property
    def outputs(self) -> Tensor:
        """The discriminator's outputs."""
        return self.head.outputs

    def back(self, slope: Tensor) -> Tensor:
        """Take the gradient by the outputs, which is kept, back to what the first layer of the atoms gives."""
        pooled = self.head.by_inputs(self.head.back(slope))
        room = self.arena.take(self.atoms.outputs.shape, slope)
        return self.atoms.back(self.pool.transposed(pooled, room))

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

    def transposed(self, pooled: Tensor, out: Tensor | None) -> Tensor:
        """The transpose of that map: (structures, species x width or 2 width) -> (structures, atoms, width)."""
        parts = pooled.unflatten(-1, (len(self.counts), 2 if self.pooling is Pooling.mix else 1, -1))
        atoms = pooled.new_empty(*pooled.shape[:-1], sum(self.counts), parts.shape[-1]) if out is None else out
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
