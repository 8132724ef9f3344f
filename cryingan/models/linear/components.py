"""Principal components of the displacements of atoms from the mean structure of a set."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import SHARED, MeanStructure, displacements_from, matched_to, mean_structure

DIFFERENT = 1e-4  # Angstrom; files round places
MANY = 1 / 3  # of the atoms; in interfaces with a disordered region a fifth scatters by more than SHARED

log = logging.getLogger(__name__)


class Components(nn.Module):
    """Structures as a mean plus a sum of components, with the codes of the training structures.

    Attributes:
        sites: the mean, fractional coordinates, shape (atoms, 3), grouped.
        modes: displacements of one standard deviation, Angstrom, shape (components, atoms, 3).
        codes: training structures by component, mean 0 and standard deviation 1, shape (structures, components).
    """

    def __init__(self) -> None:
        super().__init__()
        for name in ("sites", "modes", "codes"):
            self.register_buffer(name, torch.empty(0))

    def fit(self, structures: Crystals, components: int, share: float | None = None) -> None:
        """Find mean, components and codes.

        Args:
            structures: at least two.
            components: how many, at most one less than the structures and three for each atom.
            share: of the variance of the displacements; no more are kept than hold it. None: no such limit.

        Raises:
            CryinGANError: there are fewer than two structures, they do not differ, or they have no sites in common.
        """
        if len(structures) < 2:
            raise CryinGANError(f"the linear model needs at least two structures to train on, not {len(structures)}")
        mean = mean_structure(structures)
        _require_a_mean(mean)
        flat = mean.displacements.reshape(len(structures), -1)
        left, sizes, right = np.linalg.svd(flat, full_matrices=False)
        kept = min(components, len(structures) - 1, flat.shape[1])
        if share is not None:
            held = np.cumsum(sizes**2) / (sizes**2).sum()
            kept = min(kept, 1 + int(np.searchsorted(held, share)))
        # Singular vectors are unique up to their sign, which depends on the library: the largest entry is positive.
        signs = np.sign(right[np.arange(kept), np.abs(right[:kept]).argmax(axis=1)])
        spread = math.sqrt(len(structures))
        self.sites = torch.from_numpy(mean.sites.fractional[0])
        self.modes = torch.from_numpy((signs * sizes[:kept] / spread)[:, None] * right[:kept]).view(kept, -1, 3)
        self.codes = torch.from_numpy(left[:, :kept] * signs * spread)

    def decode(self, codes: Tensor, cell: Tensor) -> Tensor:
        """Fractional coordinates of codes (structures, components): (structures, atoms, 3), not wrapped."""
        return self.sites + self.displacements(codes) @ torch.linalg.inv(cell.double())

    def displacements(self, codes: Tensor) -> Tensor:
        """Displacements from the sites of codes (..., components): Angstrom, float64, (..., atoms, 3)."""
        return torch.einsum("...c,cai->...ai", codes.double(), self.modes.double())

    def as_structure(self, cell: np.ndarray, species: Sequence[str]) -> Crystals:
        """The sites as a structure of a cell and grouped species."""
        return Crystals(self.sites.double().cpu().numpy()[None], cell, tuple(species))

    def require_fitted(self) -> None:
        """Refuse to make structures before there are any components.

        Raises:
            CryinGANError: `fit` was not called, and no checkpoint was loaded.
        """
        if not len(self.codes):
            raise CryinGANError("the linear model is not fitted yet: train it first")

    def explained(self, structures: Crystals) -> float:
        """Share of the squared displacements of structures, grouped, from the mean that lies along the components."""
        sites = self.as_structure(structures.cell, structures.species)
        apart = displacements_from(sites, matched_to(sites, structures)).reshape(len(structures), -1)
        directions = self.modes.flatten(1).cpu().numpy()
        # Fewer directions than components in which structures differ: the others have length 0.
        directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(float).tiny)
        return float(((apart @ directions.T) ** 2).sum() / (apart**2).sum())

    def draw(self, source: torch.Generator, noise: float) -> Tensor:
        """One code, shape (components,), of a share of `noise`; see `LinearSettings`."""
        self.require_fitted()
        normal = torch.randn(self.codes.shape[1], generator=source, dtype=torch.float64)
        if noise == 1:
            return normal
        chosen = torch.randint(len(self.codes), (), generator=source)
        return math.sqrt(1 - noise**2) * self.codes[chosen].cpu() + noise * normal

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        for name in ("sites", "modes", "codes"):  # their shapes follow from the data
            if (saved := state_dict.get(f"{prefix}{name}")) is not None:
                setattr(self, name, torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _require_a_mean(mean: MeanStructure) -> None:
    """Refuse sets in which a mean means nothing, and warn where it means nothing for many atoms.

    Raises:
        CryinGANError: the structures do not differ, or have no sites in common.
    """
    if mean.scatter.max() <= DIFFERENT:
        raise CryinGANError(
            f"the structures do not differ: all {len(mean.displacements)} that the linear model is fitted to are the "
            "same, so that it has nothing to learn; give it other data"
        )
    if not mean.shared:
        raise CryinGANError(
            f"the linear model needs structures that share most of their sites; here half of the atoms scatter by "
            f"{mean.typical_scatter:.2f} Angstrom or more, as in an alloy, in a glass or "
            "where vacancies move from site to site: take model=paper, "
            "model=diffcsp, or model=flow with model.prior=uniform, for a CPU in the size of experiment=flow_small "
            "model.prior=uniform model.sites=false"
        )
    wide = int((mean.scatter > SHARED).sum())
    if wide > MANY * len(mean.scatter):
        log.warning(
            "%d of %d atoms scatter by more than %g Angstrom about their mean places, as on sites with vacancies, and "
            "samples of the linear model have them between the sites. Models without it: model=diffcsp, model=flow "
            "with model.prior=uniform, model=paper",
            wide,
            len(mean.scatter),
            SHARED,
        )
