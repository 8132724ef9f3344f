"""Samples compared with training structures in the region where these differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryingan.metrics.coverage import NEIGHBORS, Coverage, ceiling, mean_coverage
from cryingan.structures.crystals import Crystals
from cryingan.structures.matching import MeanStructure, distances_within, matched_distances, mean_structure
from cryingan.structures.registration import registered

KEYS = ("precision", "recall", "f1", "density", "coverage", "distance", "nearest_training")
STRUCTURES = 178  # of the training set, from its first to its last: matching thousands would delay every start


@dataclass(frozen=True, eq=False)
class RegionReference:
    """The disordered region of a set whose structures share most of their sites.

    At most 178 structures of the set are compared, evenly from its first to its last; a copy of another one is not seen
    as one.

    Attributes:
        mean: the sites of the set.
        region: atoms of some training structures at disordered sites.
        within: distances of these structures from each other, Angstrom.
        axes: lattice vectors along which samples are translated to the sites before they are compared; 0, 1, 2 for a,
            b, c.
    """

    mean: MeanStructure
    region: Crystals
    within: np.ndarray
    axes: tuple[int, ...] = ()

    @classmethod
    def of(cls, training: Crystals, axes: tuple[int, ...] = ()) -> RegionReference | None:
        """The region of a training set; None where its structures share no sites, or where there is no disorder."""
        if len(training) < 2 * (NEIGHBORS + 1):
            return None
        some = training.evenly(STRUCTURES)
        mean = mean_structure(some)
        if not mean.shared or not mean.disordered.any():
            return None
        region = mean.region(some)
        return cls(mean, region, distances_within(region), axes)

    def region_of(self, samples: Crystals) -> Crystals:
        """The atoms of samples at disordered sites, the samples first translated along `axes`."""
        if self.axes:
            samples = registered(samples, self.mean.sites, self.mean.scatter, self.axes)
        return self.mean.region(samples)

    def compare(self, samples: Crystals, lost: int = 0) -> dict[str, float]:
        """Precision, recall, density and coverage, as `cryingan.metrics.coverage` defines them, and distances.

        Args:
            samples: of the cell and composition of the set.
            lost: samples that are not among these, as they could not be relaxed: they are like no training structure
                and cover none.

        Returns:
            These four and the F1 score of the first two, of equally many structures on both sides; `distance`, the mean
            distance between two samples, and `nearest_training`, that of a sample from the nearest training structure,
            Angstrom. NaN for fewer than six samples, lost ones included; the distances also where all are lost.
        """
        region = self.region_of(samples)
        return self.compare_distances(matched_distances(region, self.region), distances_within(region), lost)

    def compare_distances(self, across: np.ndarray, among: np.ndarray, lost: int = 0) -> dict[str, float]:
        """`compare` by distances in the region: from `region`, (samples, structures), and among samples."""
        samples = len(across)
        count = min(samples + lost, len(self.region))
        if count <= NEIGHBORS:
            return dict.fromkeys(KEYS, np.nan)
        pairs = among[np.triu_indices(samples, 1)]
        padded = np.pad(across, ((0, lost), (0, 0)), constant_values=np.nan)
        around = np.pad(among, (0, lost), constant_values=np.nan)
        return {
            **_values(mean_coverage(padded, around, self.within, count)),
            "distance": float(pairs.mean()) if len(pairs) else np.nan,
            "nearest_training": float(across.min(axis=1).mean()) if samples else np.nan,
        }

    def of_training(self, count: int) -> dict[str, float]:
        """What a perfect generator reaches, as `compare`: one part of the set against another.

        Args:
            count: structures of each part; at most half of those that are compared.
        """
        count = min(count, len(self.region) // 2)
        if count <= NEIGHBORS:
            return dict.fromkeys(KEYS, np.nan)
        others = self.within + np.diag(np.full(len(self.within), np.inf))
        return {
            **_values(ceiling(self.within, count)),
            "distance": float(self.within[np.triu_indices(len(self.within), 1)].mean()),
            "nearest_training": float(others.min(axis=1).mean()),
        }


def _values(found: Coverage) -> dict[str, float]:
    return {**vars(found), "f1": found.f1}
