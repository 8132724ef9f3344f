"""CryinGAN-comb: one discriminator with a branch for coordinates and one for distances."""

from __future__ import annotations

import torch
from torch import Tensor

from cryingan.geometry.distances import neighbor_distances
from cryingan.models.comb.network import CombDiscriminator
from cryingan.models.comb.settings import CombSettings
from cryingan.models.cryingan.one_discriminator import OneDiscriminator


class Comb(OneDiscriminator):
    """The variant CryinGAN-comb of the Dismai-Bench paper (Supplementary Information, Note 2).

    Coordinates and distances to the nearest neighbours have a branch each, joined after the pooling. Distances are
    those of the fractional coordinates: in a cube of edge 1, whatever the cell. The gradient penalty interpolates
    coordinates and distances side by side and takes the gradient by both.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of the paper when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.comb.settings.CombSettings` that differ from `settings`.

    Example:
        >>> from cryingan.models.comb.comb import Comb
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = Comb(cell, ["Li", "Li", "Cl"], channels=8, pooling="mix")
        >>> model.sample(5, seed=1).fractional.shape
        (5, 3, 3)
    """

    kind = "comb"
    settings_type = CombSettings

    def discriminator(self, settings: CombSettings) -> CombDiscriminator:
        """The discriminator, from coordinates and distances side by side."""
        return CombDiscriminator(
            (3, settings.n_neighbors),
            list(self.template.counts.values()),
            settings.pooling,
            settings.discriminator_widths,
            settings.head_widths,
            settings.outputs,
        )

    def seen(self, fractional: Tensor) -> Tensor:
        """Coordinates, then distances: (structures, atoms, 3) to (structures, atoms, 3 + k)."""
        distances = neighbor_distances(fractional, torch.eye(3), self.hparams.n_neighbors)
        return torch.cat([fractional, distances], dim=-1)
