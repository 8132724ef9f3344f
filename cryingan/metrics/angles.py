"""Bond angles between neighbours by solid angles of Voronoi cells (docs/dismai_bench.md, "Amorphous silicon")."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms

from cryingan.metrics.motifs.crystal_nn import solid_angle_neighbors

BINS = 360
WIDTH = 180 / BINS  # degrees
# An angle this much above the edge of a bin lies on it, degrees: files hold about eight decimals of a coordinate, and
# the angles of ideal crystals (60, 90, 120 degrees) must not depend on how their coordinates were rounded.
ROUNDING = 1e-6


def bin_centers() -> np.ndarray:
    """Mid-points of the bins, degrees, shape (360,)."""
    return (np.arange(BINS) + 0.5) * WIDTH


def bond_angle_histogram(atoms: Atoms) -> np.ndarray:
    """Shares of the bond angles of all atoms of a structure, shape (360,), as from `angle_histogram`.

    Example:
        >>> from ase.build import bulk
        >>> histogram = bond_angle_histogram(bulk("Si", "diamond", a=5.431))
        >>> float(bin_centers()[histogram.argmax()])  # arccos(-1/3) is 109.47 degrees
        109.25

    Raises:
        CryinGANError: as `crystal_nn.solid_angle_neighbors`.
    """
    return angle_histogram(vectors for _, vectors in solid_angle_neighbors(atoms))


def angle_histogram(neighbors: Iterable[np.ndarray]) -> np.ndarray:
    """Shares of the angles between all pairs of neighbours of each atom, in bins that hold their upper edge.

    Args:
        neighbors: for each atom the vectors to its neighbours, any unit, shape (neighbours, 3).

    Returns:
        Shares that sum to 1, shape (360,); zeros where no atom has two neighbours, so that a mean falls short of 1.
    """
    values = bond_angles(neighbors)
    place = np.ceil((values - ROUNDING) / WIDTH).astype(np.int64) - 1
    counts = np.bincount(np.clip(place, 0, BINS - 1), minlength=BINS)
    return counts / max(1, len(values))


def bond_angles(neighbors: Iterable[np.ndarray]) -> np.ndarray:
    """The angles that `angle_histogram` counts, degrees, shape (angles,); a neighbour on its centre makes none.

    Example:
        >>> bond_angles([np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])]).tolist()
        [90.0]
    """
    apart = [vectors[vectors.any(axis=1)] for vectors in neighbors]
    pairs = [vectors[np.array(np.triu_indices(len(vectors), 1))] for vectors in apart]
    u, v = np.concatenate([np.empty((2, 0, 3)), *pairs], axis=1)
    # Unlike the arc cosine this is as accurate at 0 and 180 degrees as anywhere.
    sine, cosine = np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(axis=1)
    return np.degrees(np.arctan2(sine, cosine))
