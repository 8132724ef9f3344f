"""The generator and the discriminator of CryinGAN (paper, Supplementary Information), as matrix products.

A convolution whose kernel spans the one axis beside the atoms is a matrix product per atom, so everything here is laid
out (structures, atoms, channels) and runs through linear layers: the same functions, the same number of parameters.

Networks of one shape can be stacked (`cryingan.training.replicas`): then every parameter, every input and every output
has one more axis in front, the networks, and each product is a batched one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from cryingan.linear_algebra import linear
from cryingan.models.cryingan.settings import ModelSettings, Pooling

# The published network passes 0.8 where BatchNorm takes eps (momentum stays 0.1); it shapes the results, so it is kept.
BATCH_NORM_EPS = 0.8
LEAKY_SLOPE = 0.2
PAPER = ModelSettings()


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The affine map x W^T + b of (..., inputs) by a weight (outputs, inputs); all have an axis in front if stacked."""
    if weight.dim() == 2:
        return linear(x, weight, bias)
    rows = x.flatten(1, -2)
    product = rows @ weight.mT if bias is None else torch.baddbmm(bias.unsqueeze(-2), rows, weight.mT)
    return product.view(*x.shape[:-1], weight.shape[-2])


class Linear(nn.Linear):
    """A linear layer that can be stacked."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return affine(x, self.weight, self.bias)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that can be stacked: every network has statistics of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width) -> the same; stacked, (networks, rows, width) -> the same.

        Raises:
            RuntimeError: stacked networks are in evaluation mode.
        """
        if self.weight.dim() == 1:
            return super().forward(x)
        if not self.training:
            raise RuntimeError("stacked networks are for training; evaluate each network by itself")
        self.num_batches_tracked.add_(1)
        parameters = (self.running_mean, self.running_var, self.weight, self.bias)
        each = zip(x.unbind(), *(parameter.unbind() for parameter in parameters), strict=True)
        return torch.stack([nn.functional.batch_norm(*one, True, self.momentum, self.eps) for one in each])


class SharedBiasExpansion(nn.Module):
    """The (1, 3) transposed convolution: one matrix for each of the three coordinates, one bias for all of them.

    Args:
        channels: features of an atom.
        width: features of each of its coordinates.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, channels, 3))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """(atoms, channels) -> (3 * atoms, width), the three coordinates of an atom side by side."""
        matrix = self.weight.movedim(-1, -3).flatten(-3, -2)
        coordinates = affine(features, matrix, torch.cat([self.bias] * 3, dim=-1))
        return coordinates.unflatten(-1, (3, -1)).flatten(-3, -2)


class ExactLinear(Linear):
    """A linear layer that keeps the precision of its parameters under autocast.

    Coordinates and distances go through one: in bfloat16 an atom in a cell of 27 Angstrom moves in steps of 0.1.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        if not _autocasts(x):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


class WindowLinear(ExactLinear):
    """The (1, features) convolution of one input channel: a linear layer, initialised as that convolution."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs), under autocast exact but rounded."""
        y = super().forward(x)
        return y.to(torch.get_autocast_dtype(x.device.type)) if _autocasts(x) else y


class SiteLinear(WindowLinear):
    """A `WindowLinear` for atoms that have sites: its bias is another one for each atom.

    Args:
        features: numbers per atom.
        width: features that come out.
        n_atoms: atoms of a structure.
    """

    def __init__(self, features: int, width: int, n_atoms: int) -> None:
        super().__init__(features, width)
        self.bias = nn.Parameter(torch.zeros(n_atoms, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., structures, atoms, features), or the first two of these as one axis, -> the same with the outputs."""
        atoms, rows = self.bias.shape[-2], x.shape[-2]
        before = (1,) * (x.dim() - self.weight.dim())  # axes of structures
        bias = self.bias.unflatten(-2, (*before, atoms)) if before else self.bias
        with torch.autocast(x.device.type, enabled=False):
            y = affine(x.to(self.weight.dtype), self.weight) + torch.cat([bias] * (rows // atoms), dim=-2)
        return y.to(torch.get_autocast_dtype(x.device.type)) if _autocasts(x) else y


def _autocasts(x: Tensor) -> bool:
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


class Generator(nn.Module):
    """Fractional coordinates from noise.

    Args:
        n_atoms: atoms of a structure.
        latent_dim: length of a noise vector.
        channels: features of an atom after the first layer; that layer's outputs are ordered (atom, channel).
        widths: features of a coordinate in the hidden layers.
    """

    def __init__(
        self,
        n_atoms: int,
        latent_dim: int = PAPER.latent_dim,
        channels: int = PAPER.channels,
        widths: Sequence[int] = tuple(PAPER.generator_widths),
    ) -> None:
        super().__init__()
        self.n_atoms, self.latent_dim, self.channels, self.widths = n_atoms, latent_dim, channels, tuple(widths)
        self.latent = Linear(latent_dim, n_atoms * channels)
        layers: list[nn.Module] = [SharedBiasExpansion(channels, widths[0])]
        for width, following in zip(widths, [*widths[1:], 1], strict=True):
            layers += [BatchNorm(width, eps=BATCH_NORM_EPS), nn.ReLU(inplace=True), Linear(width, following)]
        layers[-1] = ExactLinear(widths[-1], 1)
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        """Noise (structures, latent_dim) -> fractional coordinates in [0, 1], shape (structures, atoms, 3).

        In training mode BatchNorm takes its statistics over structures, atoms and coordinates together.
        """
        features = nn.functional.relu(self.latent(noise)).unflatten(-1, (self.n_atoms, self.channels))
        logits = self.layers(features.flatten(-3, -2))  # (structures x atoms x 3, 1)
        return torch.sigmoid(logits).squeeze(-1).unflatten(-1, (-1, self.n_atoms, 3))


class Discriminator(nn.Module):
    """Scores structures by features of their atoms: coordinates (3) or neighbour distances (k).

    The same layers see every atom; the atoms of each species are pooled, so that swapping two of them changes nothing.
    The pooled vectors are joined species by species; with mix pooling each is (maximum, average).

    Args:
        features: numbers per atom.
        counts: atoms of each species, in the order of the contiguous blocks along the atom axis.
        pooling: avg, max or mix.
        widths: features of an atom in the layers before the pooling.
        head: features in the layers after it.
        outputs: outputs; the score of a structure is their mean.
        sites: whether every atom has a site, so that the first layer knows it; then two atoms cannot be swapped.

    Raises:
        ValueError: the pooling has another name.
    """

    def __init__(
        self,
        features: int,
        counts: Sequence[int],
        pooling: Pooling | str = PAPER.pooling,
        widths: Sequence[int] = tuple(PAPER.discriminator_widths),
        head: Sequence[int] = tuple(PAPER.head_widths),
        outputs: int = PAPER.outputs,
        sites: bool = False,
    ) -> None:
        super().__init__()
        self.counts = tuple(counts)
        self.pooling = Pooling(pooling)
        self.per_atom = atom_layers(features, widths)
        if sites:
            self.per_atom[0] = SiteLinear(features, widths[0], sum(counts))
        self.per_structure = structure_layers(pooled_width(widths[-1], counts, pooling), head, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (structures, atoms, features) -> outputs (structures, outputs)."""
        atoms = self.per_atom(x.flatten(-3, -2))  # flat: behind a view, the units in place would copy on the way back
        return self.per_structure(pool(atoms.unflatten(-2, x.shape[-3:-1]), self.counts, self.pooling))


def atom_layers(features: int, widths: Sequence[int]) -> nn.Sequential:
    """Layers that see every atom alone: (..., features) -> (..., last of the widths)."""
    layers: list[nn.Module] = [WindowLinear(features, widths[0]), nn.LeakyReLU(LEAKY_SLOPE, inplace=True)]
    for before, width in pairwise(widths):
        layers += [Linear(before, width), nn.LeakyReLU(LEAKY_SLOPE, inplace=True)]
    return nn.Sequential(*layers)


def structure_layers(features: int, head: Sequence[int], outputs: int) -> nn.Sequential:
    """Layers after pooling: (..., features) -> (..., outputs)."""
    layers: list[nn.Module] = []
    for before, width in pairwise([features, *head]):
        layers += [Linear(before, width), nn.LeakyReLU(LEAKY_SLOPE, inplace=True)]
    return nn.Sequential(*layers, Linear(head[-1], outputs))


def pool(x: Tensor, counts: Sequence[int], pooling: Pooling) -> Tensor:
    """Features of atoms (structures, atoms, width) -> of structures (structures, species x width or 2 width)."""
    pooled = []
    for species in x.split(counts, dim=-2):
        if pooling is not Pooling.avg:
            pooled.append(species.amax(dim=-2))
        if pooling is not Pooling.max:
            pooled.append(species.mean(dim=-2))
    return torch.cat(pooled, dim=-1)


def pooled_width(width: int, counts: Sequence[int], pooling: Pooling | str) -> int:
    """Features of a structure that `pool` makes of so many of each atom."""
    return width * len(counts) * (2 if pooling == Pooling.mix else 1)


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Set Xavier-uniform weights with the fans of the paper's convolutions and zero biases; BatchNorm stays at 1 and 0.

    Every random number comes from `generator`: the weights are the same on every device.
    """
    for layer in module.modules():
        if not isinstance(layer, (nn.Linear, SharedBiasExpansion)):
            continue
        drawn = torch.empty(layer.weight.shape, dtype=layer.weight.dtype, device=generator.device)
        # A window of F columns counts F times in both fans of the convolution: shape (outputs, 1 input channel, F).
        nn.init.xavier_uniform_(drawn[:, None] if isinstance(layer, WindowLinear) else drawn, generator=generator)
        with torch.no_grad():
            layer.weight.copy_(drawn)
            layer.bias.zero_()
