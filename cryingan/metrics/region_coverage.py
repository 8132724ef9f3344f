"""Samples against a training set in its disordered region, collected in parts and from several processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from cryingan.metrics.region_reference import KEYS, RegionReference
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import distances_within, matched_distances


class RegionCoverage(Metric):
    """`RegionReference.compare` of all structures given to `update`; those of several processes follow one another.

    `update` matches structures with the training set, so that processes share this work.

    Args:
        reference: the training set.
        template: cell and species of the structures.
    """

    full_state_update = False

    def __init__(self, reference: RegionReference, template: Crystals) -> None:
        super().__init__()
        self.reference, self.template = reference, template
        self.add_state("region", [], dist_reduce_fx="cat")
        self.add_state("across", [], dist_reduce_fx="cat")

    def update(self, fractional: Tensor) -> None:
        """Add structures by their fractional coordinates, shape (structures, atoms, 3)."""
        samples = Crystals(fractional.double().cpu().numpy(), self.template.cell, self.template.species)
        region = self.reference.region_of(samples)
        across = matched_distances(region, self.reference.structures)
        self.region.append(torch.from_numpy(region.fractional).to(self.device))
        self.across.append(torch.from_numpy(across).to(self.device))

    def compute(self) -> Tensor:
        """The values of `cryingan.metrics.region_reference.KEYS`, float64, shape (keys,); NaN without structures."""
        if not len(self.across):
            return torch.full((len(KEYS),), torch.nan, dtype=torch.float64, device=self.device)
        of_set = self.reference.structures
        region = Crystals(dim_zero_cat(self.region).cpu().numpy(), of_set.cell, of_set.species)
        found = self.reference.compare_distances(dim_zero_cat(self.across).cpu().numpy(), distances_within(region))
        return torch.tensor([found[key] for key in KEYS], dtype=torch.float64, device=self.device)
