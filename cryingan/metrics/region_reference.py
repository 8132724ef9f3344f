"""Samples compared with training structures in the region where these differ from each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryingan.metrics.coverage import (
    NEIGHBORS,
    Coverage,
    ceiling,
    intrinsic_dimension,
    mean_coverage,
    nearest_distances,
)
from cryingan.structures.crystals import Crystals, even_numbers
from cryingan.structures.matching import MeanStructure, distances_within, matched_distances, mean_structure
from cryingan.structures.registration import registered

KEYS = ("precision", "recall", "f1", "density", "coverage", "distance", "nearest_training", "dimension")
STRUCTURES = 178  # of the training set, from its first to its last: matching thousands would delay every start
NEAREST = 500  # of it, in which the nearest to a sample is sought; a pair takes 20 to 170 microseconds


@dataclass(frozen=True, eq=False)
class RegionReference:
    """The disordered region of a set whose structures share most of their sites.

    At most 178 structures of the set are compared, evenly from its first to its last. The nearest structure to a sample
    is sought among 500, these and others in between; in a larger set, a copy of one beyond them is not seen as one.

    Attributes:
        mean: the sites of the 178.
        structures: atoms of up to 500 training structures at disordered sites, the 178 first.
        within: distances of the 178 from each other, Angstrom.
        axes: lattice vectors along which samples are translated to the sites before they are compared; 0, 1, 2 for a,
            b, c.
    """

    mean: MeanStructure
    structures: Crystals
    within: np.ndarray
    axes: tuple[int, ...] = ()

    @classmethod
    def of(cls, training: Crystals, axes: tuple[int, ...] = ()) -> RegionReference | None:
        """The region of a training set; None where its structures share no sites, or where there is no disorder."""
        if len(training) < 2 * (NEIGHBORS + 1):
            return None
        numbers = even_numbers(len(training), STRUCTURES)
        mean = mean_structure(training[numbers])
        if not mean.shared or not mean.disordered.any():
            return None
        others = np.setdiff1d(np.arange(len(training)), numbers)
        others = others[even_numbers(len(others), NEAREST - len(numbers))]
        structures = mean.region(training[np.concatenate([numbers, others])])
        return cls(mean, structures, distances_within(structures[: len(numbers)]), axes)

    @property
    def region(self) -> Crystals:
        """The 178 structures that precision, recall, density and coverage are of."""
        return self.structures[: len(self.within)]

    @cached_property
    def from_others(self) -> np.ndarray:
        """Distance of each of the 178 from the nearest other one of all structures, Angstrom."""
        others = matched_distances(self.region, self.structures[len(self.within) :])
        return np.hstack([self.within + np.diag(np.full(len(self.within), np.inf)), others]).min(axis=1)

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
            Angstrom; `dimension`, that of the manifold that samples lie on
            (`cryingan.metrics.coverage.intrinsic_dimension`). NaN for fewer than six samples, lost ones included; the
            distances and the dimension also where all are lost.
        """
        region = self.region_of(samples)
        return self.compare_distances(matched_distances(region, self.structures), distances_within(region), lost)

    def compare_distances(self, across: np.ndarray, among: np.ndarray, lost: int = 0) -> dict[str, float]:
        """`compare` by distances in the region: from `structures`, (samples, structures), and among samples."""
        samples, compared = len(across), across[:, : len(self.within)]
        count = min(samples + lost, len(self.within))
        if count <= NEIGHBORS:
            return dict.fromkeys(KEYS, np.nan)
        pairs = among[np.triu_indices(samples, 1)]
        padded = np.pad(compared, ((0, lost), (0, 0)), constant_values=np.nan)
        around = np.pad(among, (0, lost), constant_values=np.nan)
        return {
            **_values(mean_coverage(padded, around, self.within, count)),
            "distance": float(pairs.mean()) if len(pairs) else np.nan,
            "nearest_training": float(nearest_distances(across).mean()) if samples else np.nan,
            "dimension": intrinsic_dimension(among),
        }

    def of_training(self, count: int) -> dict[str, float]:
        """One part of the set against another, as `compare`: what a faithful generator has.

        Above it samples are concentrated, or copies.

        Args:
            count: structures of each part, at most half of those that are compared; `dimension` is of as many.
        """
        some = even_numbers(len(self.within), count)
        count = min(count, len(self.within) // 2)
        if count <= NEIGHBORS:
            return dict.fromkeys(KEYS, np.nan)
        return {
            **_values(ceiling(self.within, count)),
            "distance": float(self.within[np.triu_indices(len(self.within), 1)].mean()),
            "nearest_training": float(self.from_others.mean()),
            "dimension": intrinsic_dimension(self.within[np.ix_(some, some)]),
        }


def _values(found: Coverage) -> dict[str, float]:
    return {**vars(found), "f1": found.f1}
