"""Flow matching between a simple distribution of structures and that of a set, in a fixed cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryingan.geometry.assignment import assignment
from cryingan.geometry.displacements import nearest_along_axes
from cryingan.models.diffcsp.pair_model import PairModel
from cryingan.models.flow.settings import FlowSettings, Prior
from cryingan.models.linear.components import Components
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import matched_to


class Flow(PairModel):
    """The velocity from structures of a prior to those of the set (Lipman et al., ICLR 2023, arXiv:2210.02747).

    Atoms move on straight lines to the nearest image along each axis, x_t = x_0 + t (x_1 - x_0), and the network learns
    x_1 - x_0 from x_t and t, over its root mean square on each axis. With the uniform prior the atoms of each species
    are paired so that the squares of their ways have the least sum; with the linear one the structures of a batch are.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: the defaults when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.flow.settings.FlowSettings` that differ from `settings`.
    """

    kind = "flow"
    settings_type = FlowSettings
    sampler_keys = ("steps", "heun")

    def build(self, settings: FlowSettings) -> None:
        """Network, prior and scale."""
        super().build(settings)
        self.components = Components() if settings.prior == Prior.linear else None
        self.translatable = self.components is None
        self.tempered = not self.translatable  # uniform starts have no scale
        self.register_buffer("scale", torch.ones(3))  # of the velocity on each axis, a fraction of the lattice vector
        symbols = np.array(self.grouped_species)
        blocks = [np.flatnonzero(symbols == symbol) for symbol in self.template.counts]
        self.blocks = [block for block in blocks if len(block) > 1]  # an atom that is alone is paired with itself

    def _species_rows(self, name: str = "") -> tuple[Tensor, int]:
        atoms = len(self.grouping)
        return (torch.arange(atoms), atoms) if self.hparams.sites else super()._species_rows(name)

    def _network_settings(self, settings: FlowSettings) -> dict[str, Any]:
        # Who knows its site and its way from there knows its place.
        return {**super()._network_settings(settings), "absolute": not settings.sites, "sites": settings.sites}

    def on_fit_start(self) -> None:
        """Fit prior and scale to the training structures, unless a checkpoint brought them.

        With the linear prior the data module orders the atoms by its sites.
        """
        structures = self.training_structures()
        if self.components is not None and not len(self.components.codes):
            self._fit_prior(structures)
        if self.components is not None:
            self.trainer.datamodule.order_by(self._sites)
        if bool((self.scale != 1).any()):
            return
        first = structures[:256] if self.components is None else matched_to(self._sites, structures[:256])
        self.scale = self._typical_move(torch.from_numpy(first.fractional).to(self.device, self.dtype))

    def _fit_prior(self, structures: Crystals) -> None:
        self.components.fit(structures, self.hparams.components)
        self.components.to(self.device)
        if self.hparams.sites:
            self.network.sites.copy_(self.components.sites)

    @property
    def _sites(self) -> Crystals:
        return self.components.as_structure(self.template.cell, self.grouped_species)

    def _typical_move(self, fractional: Tensor) -> Tensor:
        """Root mean square of the ways on each axis, paired in batches as training pairs them, shape (3,)."""
        source = generator(self.hparams.seed, "scale", 0, 0, 0, device=self.device)  # the same in all processes
        batches = fractional.split(self.trainer.datamodule.settings.batch_size)
        moves = torch.cat([self.ways(batch, source)[1] for batch in batches])
        return moves.square().mean(dim=(0, 1)).sqrt()

    def ways(self, fractional: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
        """Starts for structures and the ways from there, to the images that are nearest along each axis.

        Args:
            fractional: grouped; with the linear prior in the order of its sites, shape (structures, atoms, 3).
            source: of the starts.

        Returns:
            Both of that shape.
        """
        if self.components is None:
            start = torch.rand(fractional.shape, generator=source, device=fractional.device, dtype=fractional.dtype)
            start = self._paired_atoms(start, fractional)
        else:
            start = self._paired_structures(self._linear(len(fractional), source), fractional)
        moves = fractional - start
        return start, moves - moves.round()

    def example(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Structures on their way, the time times 1000, and the velocity over its scale."""
        start, moves = self.ways(fractional, source)
        return start + shares[:, None, None] * moves, 1000 * shares, moves / self.scale

    def generate(
        self,
        sources: Sequence[torch.Generator],
        steps: int | None = None,
        heun: bool | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Integrate from the prior.

        Args:
            sources: one for each structure.
            steps: of the integration; None: `settings.steps`.
            heun: whether by Heun's method; None: `settings.heun`.
            temperature: factor of the codes of the linear prior.

        Returns:
            Fractional coordinates, shape (structures, atoms, 3), grouped.
        """
        network = self.network

        def velocity(fractional: Tensor, time: float) -> Tensor:
            times = torch.full((len(fractional),), 1000 * time, device=self.device, dtype=self.dtype)
            return network(fractional, times) * self.scale

        if self.components is None:
            start = self.draw(sources, uniform=True)
        else:
            codes = torch.stack([self.components.draw(source, 1.0) for source in sources]).to(self.device)
            start = self._with_noise(
                self.components.decode(temperature * codes, self.cell.to(self.device)), self.draw(sources)
            )
        heun = self.hparams.heun if heun is None else heun
        steps = self.hparams.steps if steps is None else steps
        return integrated(start, velocity, steps, heun) % 1.0

    def _linear(self, count: int, source: torch.Generator) -> Tensor:
        """Structures of the linear prior, in the order of its sites."""
        codes = torch.randn(
            count, len(self.components.modes), generator=source, device=self.device, dtype=torch.float64
        )
        places = self.components.decode(codes, self.cell.to(self.device))
        return self._with_noise(
            places, torch.randn(places.shape, generator=source, device=self.device, dtype=self.dtype)
        )

    def _with_noise(self, places: Tensor, normal: Tensor) -> Tensor:
        """Places with normal noise of `prior_noise` Angstrom in each direction of space."""
        moved = self.hparams.prior_noise * normal.double() @ torch.linalg.inv(self.cell).to(self.device)
        return (places + moved).to(self.dtype)

    def _paired_atoms(self, start: Tensor, fractional: Tensor) -> Tensor:
        """Starts with the atoms of each species in the order of those that they are nearest to, in all.

        By the ways that they take: to the image that is nearest along each axis.
        """
        paired = start.clone()
        for block in self.blocks:
            moves = (fractional[:, block, None] - start[:, None, block]).double()
            costs = nearest_along_axes(moves, self.cell).square().sum(dim=-1).cpu().numpy()
            order = np.stack([assignment(cost)[0] for cost in costs])
            paired[:, block] = start[:, block].take_along_dim(torch.from_numpy(order)[..., None].to(start.device), 1)
        return paired

    def _paired_structures(self, start: Tensor, fractional: Tensor) -> Tensor:
        """Starts in the order of the structures that they are nearest to, in all; atoms keep their places."""
        moves = (fractional[:, None] - start[None]).double()
        costs = nearest_along_axes(moves, self.cell).square().sum(dim=(2, 3))
        return start[torch.from_numpy(assignment(costs.cpu().numpy())[0]).to(start.device)]


def integrated(start: Tensor, velocity: Callable[[Tensor, float], Tensor], steps: int, heun: bool = False) -> Tensor:
    """Follow a velocity from time 0 to 1 in equal steps, by Euler's method or Heun's.

    Args:
        start: places, any shape.
        velocity: of places at a time.
        steps: their number.
        heun: use the mean of the velocities at both ends of a step.
    """
    places = start
    for step in range(steps):
        first = velocity(places, step / steps)
        if heun:
            last = velocity(places + first / steps, (step + 1) / steps)
            first = (first + last) / 2
        places = places + first / steps
    return places
