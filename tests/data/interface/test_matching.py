"""The common cell of two surfaces, against a search over all integer matrices."""

from functools import cache

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from data.interface.matching import match_surfaces, mismatches
from data.interface.systems import Matching

REACH = 6  # largest entry of an integer matrix; those of the pairs below have at most SIZE surface cells
SIZE = 4
GRID = np.stack(np.meshgrid(*[np.arange(-REACH, REACH + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def reduced_cell(rng, area):
    """A surface cell of its two shortest vectors: square, hexagonal, rectangular or oblique, and nearly so."""
    ratio = rng.choice([1.0, rng.uniform(1, 1.8)])
    angle = np.radians(rng.choice([90, 60.001, rng.uniform(max(60.0, np.degrees(np.arccos(ratio / 2))), 90)]))
    cell = np.array([[1, 0, 0], [ratio * np.cos(angle), ratio * np.sin(angle), 0]])
    return cell * np.sqrt(area / (ratio * np.sin(angle)))


@cache
def matrices_and_cells():
    """All right-handed integer matrices, shape (pairs, 2, 2), and their determinants."""
    matrices = np.stack([np.repeat(GRID, len(GRID), axis=0), np.tile(GRID, (len(GRID), 1))], axis=1)
    determinants = np.rint(np.linalg.det(matrices)).astype(int)
    chosen = (determinants > 0) & (determinants <= 2 * SIZE)
    return matrices[chosen], determinants[chosen]


def exhaustive(substrate, film, matching):
    """Cells of the smallest common cell and its smallest sum of mismatches, or None."""
    matrices, cells = matrices_and_cells()
    vectors, film_vectors = matrices @ substrate, matrices @ film
    squares, dots = (vectors**2).sum(axis=2), (vectors[:, 0] * vectors[:, 1]).sum(axis=1)
    shortest = (dots > -1e-9) & (2 * dots <= squares.min(axis=1) + 1e-9) & (cells <= SIZE)
    (first, second), best = np.ascontiguousarray(np.linalg.norm(film_vectors, axis=2).T), np.inf
    for n in range(1, SIZE + 1):
        for own in vectors[shortest & (cells == n)]:
            a, b = np.linalg.norm(own, axis=1)
            near = np.abs(first / a - 1) <= matching.max_length_mismatch
            near &= np.abs(second / b - 1) <= matching.max_length_mismatch
            a, b, angle = mismatches_by_hand(own, film_vectors[near])
            fits = (np.maximum(a, b) <= matching.max_length_mismatch) & (angle <= matching.max_angle_mismatch)
            best = min([best, *((a + b) / 2 + angle)[fits]])
        if best < np.inf:
            return n, best
    return None


def mismatches_by_hand(own, others):
    """Of the lengths and the angle of one pair of vectors, shape (2, 3), and each of others, shape (pairs, 2, 3)."""

    def angles(pairs):
        crosses = np.linalg.norm(np.cross(pairs[:, 0], pairs[:, 1]), axis=1)
        return np.arctan2(crosses, (pairs[:, 0] * pairs[:, 1]).sum(axis=1))

    lengths, [of_own] = np.linalg.norm(own, axis=1), angles(own[None])
    a, b = (np.abs(np.linalg.norm(others, axis=2) - lengths) / lengths).T
    return a, b, np.abs(angles(others) - of_own) / of_own


def test_none_is_missed_and_none_is_larger_than_needed():
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        substrate, film = reduced_cell(rng, 10.0), reduced_cell(rng, rng.uniform(10, 17))
        matching = Matching(10.0 * SIZE, rng.choice([0.03, 0.06, 0.1]), rng.choice([0.02, 0.06, 0.1]))
        expected = exhaustive(substrate, film, matching)
        shear, turn = np.array([[1, rng.integers(-1, 2)], [0, 1]]), rng.uniform(0, 6)
        rotation = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        try:
            match = match_surfaces(substrate, shear @ film @ rotation, matching)
        except CryinGANError:
            match = None
        found.append(match is not None)
        assert found[-1] == (expected is not None), (substrate, film, matching)
        if match is not None:
            assert match.determinants[0] == expected[0]
            assert match.mismatch + match.angle_mismatch == pytest.approx(expected[1], abs=2e-6)
            np.testing.assert_allclose(match.substrate_matrix @ substrate, match.vectors, atol=1e-9)
            np.testing.assert_allclose(match.film_matrix @ shear @ film @ rotation, match.film_vectors, atol=1e-9)
    assert 40 < sum(found) < 160


def test_limit_is_that_of_the_substrates_lengths():
    """A film that is 4.42 % smaller than its substrate, 4.62 % of itself."""
    substrate, film = 2.9783 * np.eye(2, 3), 2.8468 * np.eye(2, 3)
    match = match_surfaces(substrate, film, Matching(30.0, 0.045))
    assert match.determinants == (1, 1)
    np.testing.assert_allclose(match.length_mismatches, 0.0442, atol=1e-4)
    assert match_surfaces(substrate, film, Matching(30.0, 0.045, determinants=[2, 2])).determinants == (2, 2)
    with pytest.raises(CryinGANError, match=r"mismatch of at most 0.044 in length and 0.02 in angle"):
        match_surfaces(substrate, film, Matching(30.0, 0.044))


def test_limits_are_included():
    """The same surface needs no strain, and a cell of just the largest area is none too large."""
    cell = np.array([[3.1, 0, 0], [0.7, 2.9, 0]])
    match = match_surfaces(cell, cell, Matching(3.1 * 2.9, 0.0, 0.0))
    assert match.determinants == (1, 1)
    np.testing.assert_allclose(mismatches(match.vectors, match.film_vectors), 0, atol=1e-12)
