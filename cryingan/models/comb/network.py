"""The discriminator of CryinGAN-comb."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cryingan.models.cryingan.networks import atom_layers, pool, pooled_width, structure_layers
from cryingan.models.cryingan.settings import Pooling


class CombDiscriminator(nn.Module):
    """Scores structures by several kinds of features of their atoms at once.

    Each kind has layers of its own up to the pooling; there they are joined, and the layers after it see all.

    Args:
        features: numbers per atom of each kind, as they stand side by side in the input.
        counts: atoms of each species, in the order of the contiguous blocks along the atom axis.
        pooling: avg, max or mix, in every branch.
        widths: features of an atom in the layers of a branch.
        head: features in the layers after the pooling.
        outputs: outputs; the score of a structure is their mean.
    """

    def __init__(
        self,
        features: Sequence[int],
        counts: Sequence[int],
        pooling: Pooling | str,
        widths: Sequence[int],
        head: Sequence[int],
        outputs: int,
    ) -> None:
        super().__init__()
        self.features, self.counts, self.pooling = tuple(features), tuple(counts), Pooling(pooling)
        self.branches = nn.ModuleList(atom_layers(count, widths) for count in features)
        pooled = len(features) * pooled_width(widths[-1], counts, self.pooling)
        self.per_structure = structure_layers(pooled, head, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features (structures, atoms, sum of features) -> outputs (structures, outputs)."""
        parts = zip(self.branches, x.split(self.features, dim=-1), strict=True)
        pooled = [pool(layers(part), self.counts, self.pooling) for layers, part in parts]
        return self.per_structure(torch.cat(pooled, dim=-1))
