"""DiffCSP for a fixed cell and composition: a score model of wrapped normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cryingan.models.diffcsp.pair_model import PairModel
from cryingan.models.diffcsp.sampler import LEVELS, denoised, noise_levels, visited_levels
from cryingan.models.diffcsp.settings import DiffCSPSettings
from cryingan.models.diffcsp.wrapped_normal import mean_squared_score, score


class DiffCSP(PairModel):
    """The score model of Jiao et al., NeurIPS 2023 (arXiv:2309.04475), without its denoising of the cell.

    The network learns the score of the noise that was added, over its root mean square. A network that sees differences
    alone cannot know the mean displacement, so the loss of a structure stays above 1 / atoms, and samples are brought
    to where the training structures stand.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: those of Dismai-Bench when not given.
        shift: as in `cryingan.models.base.GenerativeModel`.
        changes: fields of `cryingan.models.diffcsp.settings.DiffCSPSettings` that differ from `settings`.

    Example:
        >>> from cryingan.models.diffcsp.diffcsp import DiffCSP
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = DiffCSP(cell, ["Li", "Li", "Cl"], hidden=8, layers=1, frequencies=2)
        >>> model.sample(5, seed=1, steps=10).fractional.shape
        (5, 3, 3)
    """

    kind = "diffcsp"
    settings_type = DiffCSPSettings
    translation_invariant = True
    sampler_keys = ("steps", "step_size")

    def build(self, settings: DiffCSPSettings) -> None:
        """Network and noise levels."""
        super().build(settings)
        sigmas = noise_levels(settings.sigma_min, settings.sigma_max)
        self.register_buffer("sigmas", sigmas.float(), persistent=False)
        scale = mean_squared_score(sigmas[1:]).sqrt()
        self.register_buffer("scales", torch.cat([scale[:1], scale]).float(), persistent=False)  # level 0 is not asked

    def _species_rows(self, name: str = "species_rows") -> tuple[Tensor, int]:
        return super()._species_rows(name)

    def _network_settings(self, settings: DiffCSPSettings) -> dict[str, Any]:
        raw = {"cell_term": settings.cell_term, "cell_head": settings.cell_head}
        return {**super()._network_settings(settings), **raw}

    def example(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Structures with noise of a level, the level, and the score of the noise."""
        levels = 1 + (shares * LEVELS).long().clamp_max(LEVELS - 1)
        sigma = self.sigmas[levels][:, None]
        draws = torch.randn(fractional.shape, generator=source, device=fractional.device, dtype=fractional.dtype)
        noise = sigma * draws
        answers = score(noise, sigma) / self.scales[levels][:, None]
        return (fractional + noise) % 1.0, levels.to(fractional.dtype), answers

    def generate(
        self, sources: Sequence[torch.Generator], steps: int | None = None, step_size: float | None = None
    ) -> Tensor:
        """Denoise uniform places.

        Args:
            sources: one for each structure.
            steps: levels that are visited; None: `settings.steps`.
            step_size: of the corrector; None: `settings.step_size`.

        Returns:
            Fractional coordinates, shape (structures, atoms, 3), grouped.
        """
        network = self.network

        def at_level(fractional: Tensor, level: int) -> Tensor:
            times = torch.full((len(fractional),), float(level), device=self.device, dtype=self.dtype)
            return network(fractional, times) * self.scales[level]

        return denoised(
            self.draw(sources, uniform=True),
            at_level,
            self.sigmas,
            visited_levels(LEVELS, self.hparams.steps if steps is None else steps),
            self.hparams.step_size if step_size is None else step_size,
            lambda: self.draw(sources),
        )
