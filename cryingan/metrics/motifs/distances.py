"""Distances between the mean coordination-motif fingerprints of two sets of structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cryingan.metrics.bootstrap import Interval, distance_of_means

ALL = "d_all"
Rows = Mapping[str, np.ndarray]
PerStructure = np.ndarray | Sequence[np.ndarray]


def site_means(fingerprints: PerStructure, masks: PerStructure | None = None) -> np.ndarray:
    """Mean fingerprint of each structure, shape (structures, features); NaN for a structure without a site.

    Args:
        fingerprints: of one species, shape (structures, sites, features), or for each structure (sites, features).
        masks: which sites count, bool, shape (structures, sites), such as those of a region; all when not given.
    """
    features = np.shape(fingerprints[0] if len(fingerprints) else fingerprints)[-1]
    rows = np.full((len(fingerprints), features), np.nan)
    for row, sites in enumerate(fingerprints):
        kept = sites if masks is None else sites[masks[row]]
        if len(kept):
            rows[row] = kept.mean(axis=0, dtype=np.float64)
    return rows


def motif_distances(
    generated: Rows, reference: Rows, sites: Mapping[str, float], distance: str = "euclidean"
) -> dict[str, Interval]:
    """d_X of every species and d_all, with intervals (docs/dismai_bench.md, "Interface: motif distance d_X").

    They stand in the order of `sites`, d_all last; NaN with a reason where a species is missing. All structures have
    the same weight. For d_all the mean fingerprints of the species are averaged with the numbers of sites as weights,
    the same on both sides.

    Args:
        generated: for each species the mean fingerprints of structures, shape (structures, features).
        reference: likewise; a known mean is a single row.
        sites: atoms of each species in a structure, such as {"Li": 72, "Co": 36, "Sc": 12}.
        distance: `euclidean` or `cosine`.

    Example:
        >>> generated = {"Li": np.array([[1.0, 0.0]]), "Co": np.array([[0.0, 0.5]])}
        >>> reference = {"Li": np.array([[0.4, 0.0]]), "Co": np.array([[0.0, 0.5]])}
        >>> distances = motif_distances(generated, reference, {"Li": 72, "Co": 48})
        >>> {name: round(interval.value, 6) for name, interval in distances.items()}
        {'d_Li': 0.6, 'd_Co': 0.0, 'd_all': 0.36}
    """
    total = sum(sites.values())
    rows = {f"d_{species}": (generated[species], reference[species]) for species in sites}
    rows[ALL] = tuple(sum(sites[s] / total * side[s] for s in sites) for side in (generated, reference))
    lacking = [s for s in sites for side in (generated, reference) if not np.isfinite(side[s]).all(axis=1).any()]
    distances = {}
    for name, sides in rows.items():
        interval = distance_of_means(*sides, distance)
        of = [species for species in dict.fromkeys(lacking) if name in (f"d_{species}", ALL)]
        reason = f"{interval.reason}: {', '.join(of)} is missing" if of else interval.reason
        distances[name] = replace(interval, reason=reason)
    return distances
