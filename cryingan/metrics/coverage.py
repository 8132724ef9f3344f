"""Whether samples are like the reference structures, and whether they cover them.

Precision and recall after Kynkaanniemi et al., NeurIPS 2019 (arXiv:1904.06991, eq. 1-2); density and coverage after
Naeem et al., ICML 2020 (arXiv:2002.09797, eq. 4-5). The ball of a structure reaches to its k-th nearest neighbour on
its own side. All four depend on the number of structures, so both sides have equally many, and the value of one half
of the reference against the other, the ceiling, belongs beside them.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from cryingan.errors import CryinGANError

NEIGHBORS = 5
DRAWS = 20
COPY = 1e-6  # Angstrom; structures this near to each other are one


@dataclass(frozen=True)
class Coverage:
    """How two sets of structures overlap.

    Attributes:
        precision: share of samples inside the ball of some reference structure.
        recall: share of reference structures inside the ball of some sample.
        density: balls of reference structures that hold a sample, over k, mean over samples; may exceed 1.
        coverage: share of reference structures whose ball holds a sample.
    """

    precision: float
    recall: float
    density: float
    coverage: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: samples that are all alike have no recall, random ones no precision.

        Sajjadi et al., NeurIPS 2018 (arXiv:1806.00035), weigh precision and recall so. Density and coverage do not take
        its place: in many dimensions samples near the mean lie in most balls.
        """
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def coverage(across: np.ndarray, samples: np.ndarray, reference: np.ndarray, k: int = NEIGHBORS) -> Coverage:
    """Compare samples with a reference by the distances between structures.

    Args:
        across: distances of the samples from the reference structures, shape (samples, references); NaN for a sample
            that is lost, which is then in no ball and has none.
        samples: distances of the samples from each other, shape (samples, samples).
        reference: distances of the reference structures from each other, shape (references, references).
        k: the neighbour that a ball reaches to.

    Raises:
        CryinGANError: a side has no more than k structures.

    Example:
        >>> points = np.array([0.0, 1.0, 2.0, 3.0])
        >>> within = np.abs(points[:, None] - points)
        >>> coverage(within + 0.1, within, within, k=1)
        Coverage(precision=1.0, recall=1.0, density=1.0, coverage=1.0)
    """
    in_reference = across <= neighbor_radius(reference, k)
    in_samples = across <= neighbor_radius(samples, k)[:, None]
    return Coverage(
        precision=float(in_reference.any(axis=1).mean()),
        recall=float(in_samples.any(axis=0).mean()),
        density=float(in_reference.sum(axis=1).mean() / k),
        coverage=float(in_reference.any(axis=0).mean()),
    )


def mean_coverage(
    across: np.ndarray, samples: np.ndarray, reference: np.ndarray, count: int, k: int = NEIGHBORS, seed: int = 0
) -> Coverage:
    """`coverage` of equally many structures on both sides, mean over 20 random draws of them.

    Args:
        across: as in `coverage`.
        samples: as in `coverage`.
        reference: as in `coverage`.
        count: structures drawn on each side without replacement.
        k: as in `coverage`.
        seed: of the draws.

    Raises:
        CryinGANError: a side has fewer than `count` structures, or `count` is no more than k.
    """
    if count > min(across.shape):
        raise CryinGANError(
            f"{count} structures on each side are wanted; there are {across.shape[0]} and {across.shape[1]}"
        )
    random, found = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        one, other = (np.sort(random.permutation(size)[:count]) for size in across.shape)
        found.append(
            coverage(across[np.ix_(one, other)], samples[np.ix_(one, one)], reference[np.ix_(other, other)], k)
        )
    return _mean(found)


def ceiling(reference: np.ndarray, count: int, k: int = NEIGHBORS, seed: int = 0) -> Coverage:
    """`coverage` of reference structures by others of the reference: what a perfect generator reaches.

    Args:
        reference: distances of the reference structures from each other, shape (references, references).
        count: structures drawn for each side, none for both; at most half of the reference.
        k: as in `coverage`.
        seed: of the 20 draws.

    Raises:
        CryinGANError: the reference has fewer than twice `count` structures, or `count` is no more than k.
    """
    if 2 * count > len(reference):
        raise CryinGANError(f"{len(reference)} reference structures have no two parts of {count} structures")
    random, found = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        one, other = np.sort(random.permutation(len(reference))[: 2 * count].reshape(2, count))
        parts = reference[np.ix_(one, other)], reference[np.ix_(one, one)], reference[np.ix_(other, other)]
        found.append(coverage(*parts, k))
    return _mean(found)


def _mean(found: list[Coverage]) -> Coverage:
    return Coverage(*np.mean([astuple(values) for values in found], axis=0).tolist())


def neighbor_radius(distances: np.ndarray, k: int = NEIGHBORS) -> np.ndarray:
    """Distance of each structure from its k-th nearest neighbour, shape (structures,).

    Args:
        distances: between the structures of one side, shape (structures, structures).
        k: which neighbour; the structure itself is none.

    Raises:
        CryinGANError: there are no more than k structures.
    """
    if len(distances) <= k:
        raise CryinGANError(f"{len(distances)} structures have no {k} neighbours each: give at least {k + 1}")
    others = distances + np.diag(np.full(len(distances), np.nan))  # NaN is sorted behind all numbers
    return np.partition(others, k - 1, axis=1)[:, k - 1]


def nearest_distances(across: np.ndarray) -> np.ndarray:
    """Distance of each sample from the nearest reference structure, shape (samples,); small ones are copies.

    Of `across`, shape (samples, references), in its unit.
    """
    return across.min(axis=1)


def intrinsic_dimension(distances: np.ndarray, kept: float = 0.9) -> float:
    """Dimension of the manifold that structures lie on, by the ratio of their two nearest distances.

    Facco et al., Sci. Rep. 7, 12140 (2017): the ratio has the distribution 1 - mu^-d; the slope of -log(1 - F) over
    log mu, through the origin and without the largest tenth, is d. Structures that coincide count once. The dimension
    of few structures is too low: compare with that of as many others.

    Args:
        distances: between the structures, shape (structures, structures), Angstrom.
        kept: share of the ratios that are fitted, more than 0 and less than 1.

    Returns:
        NaN for fewer than three different structures.

    Raises:
        CryinGANError: `kept` is out of range.
    """
    if not 0 < kept < 1:
        raise CryinGANError(f"kept={kept}: the share of the ratios that are fitted must be more than 0 and less than 1")
    different = ~np.triu(distances <= COPY, 1).any(axis=0)
    distances = distances[np.ix_(different, different)]
    if len(distances) < 3:
        return float("nan")
    first, second = neighbor_radius(distances, 1), neighbor_radius(distances, 2)
    ratios = np.sort(np.log(second / first))[: int(kept * len(distances))]
    heights = -np.log1p(-np.arange(1, len(ratios) + 1) / len(distances))
    return float(heights @ ratios / (ratios @ ratios)) if ratios.any() else float("nan")
