"""Distributions of atoms over their most likely coordination motifs (SI, Figs. S3, S18, S33).

Definitions: docs/dismai_bench.md, "Most likely motifs".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryingan.metrics.bootstrap import Interval, mean_interval, mean_row
from cryingan.metrics.motifs.distances import PerStructure
from cryingan.metrics.motifs.fingerprints import LARGEST_NUMBER, MOTIF_NAMES

NO_MOTIF, OTHER = "None", "other"
NAMES = (*MOTIF_NAMES, NO_MOTIF)
NUMBERS = LARGEST_NUMBER + 1  # an atom has 0 to 24 neighbours
AT_LEAST = 1.0
"""Share of the reference's atoms from which a motif is listed, percent."""


SHAPES = [index for index, name in enumerate(MOTIF_NAMES) if not name.startswith("q")]
FIGURE_ORDER = [*reversed(SHAPES), *sorted(set(range(len(NAMES))) - set(SHAPES))]
"""Indices into `NAMES` from the highest coordination number to the lowest; those without a shape come last."""


@dataclass(frozen=True, eq=False)
class MotifDistribution:
    """Shares of atoms by their most likely motif, percent.

    Attributes:
        motifs: names such as `octahedral CN_6` in the order of the paper's figures; `None` is an atom without
            neighbours, or with so many that no motif has a name; `other`, the last, is all that is not listed.
        reference: shape (motifs,).
        generated: arrays of that shape.
        reference_split: by how many neighbours are of the counted species, 0, 1, 2 ..., shape (motifs, numbers).
        generated_split: arrays of that shape.
    """

    motifs: tuple[str, ...]
    reference: np.ndarray
    generated: Interval
    reference_split: np.ndarray
    generated_split: Interval


def motif_shares(
    motif: PerStructure, neighbors: PerStructure | None = None, masks: PerStructure | None = None
) -> np.ndarray:
    """Shares of each structure's atoms by their most likely motif and their neighbours of one species.

    Args:
        motif: index into `MOTIF_NAMES` or -1, int, shape (structures, sites), or for each structure (sites,).
        neighbors: how many neighbours are of the counted species, such as Cl, int, likewise; 0 when not given.
        masks: which sites count, bool, likewise; all when not given.

    Returns:
        Percent, shape (structures, motifs, 25): motifs as `NAMES`, the last axis 0 to 24 neighbours. NaN for a
        structure without a site.
    """
    shares = np.full((len(motif), len(NAMES), NUMBERS), np.nan)
    for row, kinds in enumerate(motif):
        number = np.zeros(len(kinds), dtype=np.int64) if neighbors is None else neighbors[row]
        code = kinds % len(NAMES) * NUMBERS + number  # -1 is the last
        code = code if masks is None else code[masks[row]]
        if len(code):
            counts = np.bincount(code, minlength=shares[row].size)
            shares[row] = 100 * counts.reshape(shares[row].shape) / len(code)
    return shares


def bond_shares(counts: PerStructure, masks: PerStructure | None = None) -> np.ndarray:
    """Shares of each structure's atoms by their number of bonds to one species (SI, Fig. S19).

    Args:
        counts: neighbours of that species, int, shape (structures, sites), or for each structure (sites,).
        masks: as in `motif_shares`.

    Returns:
        Percent, shape (structures, 25): 0 to 24 bonds; an isolated atom has 0. NaN for a structure without a site.
    """
    return motif_shares([np.zeros_like(numbers) for numbers in counts], counts, masks)[:, 0]


def motif_distribution(generated: np.ndarray, reference: np.ndarray) -> MotifDistribution:
    """Most likely motifs of two sets of structures: those that are frequent in the reference, and the rest.

    Both are from `motif_shares`, percent, shape (structures, motifs, 25); a mean that is known already is a single row.
    The generated shares are NaN, with a reason, when no structure has the species.
    """
    mean = mean_row(reference)
    listed = [index for index in FIGURE_ORDER if mean[index].sum() >= AT_LEAST]
    rest = np.setdiff1d(np.arange(len(NAMES)), listed)
    sides = [
        np.concatenate([shares[:, listed], shares[:, rest].sum(axis=1, keepdims=True)], axis=1)
        for shares in (generated, mean[None])
    ]
    occurring = np.flatnonzero(np.nansum(np.concatenate(sides), axis=(0, 1)))
    numbers = occurring.max(initial=0) + 1
    split, mean_split = (side[..., :numbers] for side in sides)
    return MotifDistribution(
        (*(NAMES[index] for index in listed), OTHER),
        mean_split[0].sum(axis=1),
        mean_interval(split.sum(axis=2)),
        mean_split[0],
        mean_interval(split),
    )
