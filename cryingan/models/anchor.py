"""Where the structures of a set stand in their cell, for models that see differences of places alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from cryingan.geometry.point_group import point_group
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import mean_structure
from cryingan.structures.registration import IDENTITY, registered

STRUCTURES = 178  # of the training set, from its first to its last: matching thousands would delay every start


class Anchor(nn.Module):
    """The mean structure of a set, onto whose sites samples are translated; none for a set without common sites.

    Args:
        turns: try the turns and mirrors that map the lattice onto itself as well.

    Attributes:
        sites: fractional coordinates, grouped, shape (atoms, 3); (0, 3) where structures share no sites, (0,) before
            `fit` and in checkpoints from before there was an anchor.
        scatter: root mean square displacement at each site, Angstrom, shape (atoms,).
    """

    def __init__(self, turns: bool = False) -> None:
        super().__init__()
        self.turns = turns
        for name in ("sites", "scatter"):
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    @property
    def fitted(self) -> bool:
        """Whether it is known where structures stand, or that they share no sites."""
        return self.sites.dim() == 2

    def fit(self, structures: Crystals) -> None:
        """Find the sites of training structures, grouped."""
        mean = mean_structure(structures.evenly(STRUCTURES))
        sites, scatter = (mean.sites.fractional[0], mean.scatter) if mean.shared else (np.empty((0, 3)), np.empty(0))
        self.sites, self.scatter = (torch.from_numpy(x).to(self.sites.device) for x in (sites, scatter))

    def placed(self, structures: Crystals) -> Crystals:
        """Structures, grouped, each translated to the sites; as they are where there are none."""
        if not len(self.sites):
            return structures
        sites = Crystals(self.sites.double().cpu().numpy()[None], structures.cell, structures.species)
        operations = point_group(structures.cell) if self.turns else IDENTITY
        return registered(structures, sites, self.scatter.double().cpu().numpy(), operations=operations)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, meta: dict, strict: bool, *lists: list) -> None:
        for name in ("sites", "scatter"):  # their shapes follow from the data; older checkpoints have none
            setattr(self, name, torch.empty_like(state.get(f"{prefix}{name}", torch.empty(0))))
            state = {f"{prefix}{name}": getattr(self, name), **state}
        super()._load_from_state_dict(state, prefix, meta, strict, *lists)
