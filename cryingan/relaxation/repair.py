"""Move atoms apart that are too close, before relaxation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import NearestImage, neighbors
from cryingan.relaxation.settings import REPAIR_DISTANCE
from cryingan.structures.crystals import Crystals

MARGIN = 0.1  # Angstrom beyond the minimum distance
INCLUSIVE = 1e-8  # Angstrom; a pair at exactly the minimum distance counts as too close
COINCIDENT = 1e-8  # Angstrom; a shorter vector is rounding and has no direction
STRUCTURES_AT_ONCE = 256  # bounds the memory for pair lists


@dataclass(frozen=True, eq=False)
class RepairLog:
    """What `repair` did, one entry per structure.

    Attributes:
        close_pairs: pairs within the minimum distance before any move, shape (structures,).
        iterations: passes, 1 for a clean structure; 0 if a coordinate is not finite.
        accepted: whether the last pass found no close pair.
    """

    close_pairs: np.ndarray
    iterations: np.ndarray
    accepted: np.ndarray


def repair(
    crystals: Crystals, min_distance: float = REPAIR_DISTANCE, max_iterations: int = 100, seed: int = 0
) -> tuple[Crystals, RepairLog]:
    """Move apart the atoms that are too close.

    The rule of Dismai-Bench (docs/dismai_bench.md, "Repair"): a pass lists the pairs (i, j), i < j, within the minimum
    distance in lexicographic order and moves each j in turn along the line from i to j, until its distance to i is the
    minimum distance and 0.1 Angstrom. Passes repeat until one finds no pair, at most `max_iterations` times. Here the
    line ends at the nearest periodic image, and atoms at one point are separated in a direction drawn from the seed.
    Structures do not influence one another.

    Atoms that are fixed, in any direction, are not moved: of a pair with a fixed j, i is moved, after all other pairs
    of the pass. A pair of two fixed atoms stays, so its structure is not accepted.

    Args:
        crystals: structures, with their fixed atoms; one with a coordinate that is not finite is left as it is and not
            accepted.
        min_distance: Angstrom.
        max_iterations: largest number of passes.
        seed: seed of the directions.

    Returns:
        All structures in their order, the rejected ones as the last pass left them, and what was done.

    Raises:
        CryinGANError: the cell is so short that an atom is too close to its own image.

    Example:
        >>> crystals = cryingan.Crystals([[[0, 0, 0], [0.1, 0, 0]]], [[8, 0, 0], [0, 8, 0], [0, 0, 8]], ["Li", "Cl"])
        >>> repaired, log = cryingan.repair(crystals)
        >>> log.close_pairs, log.accepted
        (array([1]), array([ True]))
        >>> (repaired.fractional @ repaired.cell).round(3).tolist()
        [[[0.0, 0.0, 0.0], [1.6, 0.0, 0.0]]]
    """
    nearest = NearestImage(crystals.cell)
    if nearest.shortest <= min_distance + INCLUSIVE:
        raise CryinGANError(
            f"the cell repeats every {nearest.shortest:.3f} Angstrom, within min_distance={min_distance}: no atom can "
            "keep that distance from its own image"
        )
    count = len(crystals)
    log = RepairLog(np.zeros(count, dtype=int), np.zeros(count, dtype=int), np.zeros(count, dtype=bool))
    positions = crystals.fractional @ crystals.cell
    fixed = np.zeros(positions.shape[:2], bool) if crystals.fixed is None else crystals.fixed.any(axis=2)
    finite = np.flatnonzero(np.isfinite(positions).all(axis=(1, 2)))
    for start in range(0, len(finite), STRUCTURES_AT_ONCE):
        active = finite[start : start + STRUCTURES_AT_ONCE]
        for iteration in range(1, max_iterations + 1):
            pairs = [_close_pairs(positions[index], crystals.cell, min_distance) for index in active]
            found = np.array([len(close) for close in pairs], dtype=int)
            if iteration == 1:
                log.close_pairs[active] = found
            log.iterations[active], log.accepted[active] = iteration, found == 0
            if not found.any():
                break
            owners, pairs = np.repeat(active, found), np.concatenate(pairs)
            active = active[found > 0]
            for movable, still, moved in _by_what_moves(fixed, owners, *pairs.T):
                _move_apart(positions, owners[movable], still, moved, min_distance + MARGIN, nearest, seed)
    moved = crystals.fractional.copy()
    changed = (log.iterations > 1) | (~log.accepted & (log.iterations > 0))
    moved[changed] = positions[changed] @ np.linalg.inv(crystals.cell)
    return replace(crystals, fractional=moved), log


def _close_pairs(positions: np.ndarray, cell: np.ndarray, min_distance: float) -> np.ndarray:
    """Unique pairs (i, j), i < j, within the minimum distance, in lexicographic order, shape (pairs, 2)."""
    source, target, _ = neighbors(positions, cell, min_distance)
    first = source < target
    codes = np.unique(source[first] * len(positions) + target[first])
    return np.stack(np.divmod(codes, len(positions)), axis=1)


def _by_what_moves(
    fixed: np.ndarray, owners: np.ndarray, first: np.ndarray, second: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs whose second atom is free, then those with a free first one: which they are, what stays and what moves."""
    forward = ~fixed[owners, second]
    backward = ~forward & ~fixed[owners, first]
    return [(forward, first[forward], second[forward]), (backward, second[backward], first[backward])]


def _move_apart(
    positions: np.ndarray,
    owners: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    distance: float,
    nearest: NearestImage,
    seed: int,
) -> None:
    """One pass of moves, in place: `second` of each pair away from `first`, in the structure `owners` of `positions`.

    In lexicographic order an atom i moves only before its own pairs (i, j) come, and these move different atoms j. So
    the pairs of one i are moved at once, in all structures, with the outcome of the sequential rule.
    """
    for atom in np.unique(first):
        which, others = owners[first == atom], second[first == atom]
        fixed = positions[which, atom]
        vectors = nearest(positions[which, others] - fixed)
        lengths = np.linalg.norm(vectors, axis=1)
        together = lengths < COINCIDENT
        if together.any():
            directions = np.random.default_rng([seed, atom]).normal(size=(positions.shape[1], 3))
            vectors[together] = directions[others[together]]
            lengths[together] = np.linalg.norm(vectors[together], axis=1)
        positions[which, others] = fixed + vectors * (distance / lengths)[:, None]
