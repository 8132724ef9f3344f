"""What DiffCSP and the flow share: a mean square error of the answers of a network of pairs."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from cryingan.models.denoiser import Denoiser
from cryingan.models.diffcsp.network import PairNetwork
from cryingan.models.diffcsp.settings import NetworkSettings


class PairModel(Denoiser):
    """A `PairNetwork` that learns a vector per atom at a random time; its loss is 1 where it knows nothing.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: network and training.
        shift: as in `cryingan.models.base.GenerativeModel`.
    """

    def make_network(self, settings: NetworkSettings) -> PairNetwork:
        """The network of pairs."""
        rows, count = self._species_rows()
        return PairNetwork(self.cell, rows, count, **self._network_settings(settings))

    def _network_settings(self, settings: NetworkSettings) -> dict[str, Any]:
        names = ("hidden", "layers", "frequencies", "neighbors", "grid")
        return {name: getattr(settings, name) for name in names}

    @abstractmethod
    def example(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """What the network sees, and what it should answer.

        Args:
            fractional: training structures, shape (structures, atoms, 3).
            shares: of the range of times, uniform in [0, 1), shape (structures,).
            source: of all other random numbers.

        Returns:
            Fractional coordinates (structures, atoms, 3), times (structures,), answers (structures, atoms, 3).
        """

    def losses(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> dict[str, Tensor]:
        """Mean square error; arguments as in `example`."""
        return {"loss": self.loss(fractional, shares, source)}

    def loss(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> Tensor:
        """Mean square error; arguments as in `example`."""
        seen, times, answers = self.example(fractional, shares, source)
        return (self.network(seen, times) - answers).square().mean()
