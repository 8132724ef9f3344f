"""Repair against hand-made pairs and a plain loop over atoms, written from the rule."""

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import get_distances
from ase.neighborlist import neighbor_list

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import NearestImage
from cryingan.relaxation.repair import repair
from cryingan.structures.crystals import Crystals

POSITION_TOLERANCE = 1e-9  # Angstrom
CUBE = np.eye(3) * 10.0
SKEWED = np.array([[6.0, 0, 0], [4.5, 5.0, 0], [-4.0, 3.0, -7.0]])


def crystals(positions, cell=CUBE) -> Crystals:
    positions = np.asarray(positions, dtype=float)
    return Crystals(positions @ np.linalg.inv(cell), cell, ("Li",) * positions.shape[1])


def plain_repair(positions, cell, minimum_image, max_iterations=100):
    """One atom pair after the other; without the minimum image it is the rule of the paper."""
    positions, first_count = positions.copy(), None
    for iteration in range(1, max_iterations + 1):
        atoms = Atoms("H" * len(positions), positions=positions, cell=cell, pbc=True)
        i, j = neighbor_list("ij", atoms, 1.5 + 1e-8)
        pairs = sorted({(a, b) for a, b in zip(i, j, strict=True) if a < b})
        first_count = len(pairs) if first_count is None else first_count
        if not pairs:
            return positions, first_count, iteration, True
        for a, b in pairs:
            vector = positions[b] - positions[a]
            if minimum_image:
                grid = np.stack(np.meshgrid(*[range(-4, 5)] * 3), -1).reshape(-1, 3)
                images = vector + grid @ cell
                vector = images[np.linalg.norm(images, axis=1).argmin()]
            positions[b] = positions[a] + vector * 1.6 / np.linalg.norm(vector)
    return positions, first_count, max_iterations, False


def displacements(repaired: Crystals, positions: np.ndarray) -> np.ndarray:
    """Distances to the expected positions, up to lattice translations."""
    difference = repaired.fractional - positions @ np.linalg.inv(repaired.cell)
    return np.linalg.norm((difference - np.rint(difference)) @ repaired.cell, axis=-1)


@pytest.mark.parametrize(
    ("start", "end", "iterations", "pairs"),
    [
        ((0.2, 1.2), 1.8, 2, 1),
        ((0.2, 9.9), 8.6, 2, 1),  # moved across the boundary, not through the cell
        ((1.0, 2.5), 2.6, 2, 1),  # exactly the minimum distance is too close
        ((1.0, 2.6), 2.6, 1, 0),
    ],
)
def test_two_atoms(start, end, iterations, pairs):
    one, two = ([x, 5.0, 5.0] for x in start)
    repaired, log = repair(crystals([[one, two]]))
    assert displacements(repaired, np.array([[one, [end, 5.0, 5.0]]])).max() < POSITION_TOLERANCE
    assert (log.close_pairs[0], log.iterations[0], log.accepted[0]) == (pairs, iterations, True)


@pytest.mark.parametrize("max_iterations", [1, 6])
def test_equals_the_rule_of_the_paper_where_no_boundary_is_crossed(max_iterations):
    positions = 15 + np.random.default_rng(0).normal(size=(5, 20, 3)) * [[[2.2]], [[1.0]], [[3.0]], [[6.0]], [[1.5]]]
    cell = np.eye(3) * 60.0
    repaired, log = repair(crystals(positions, cell), max_iterations=max_iterations)
    for number, start in enumerate(positions):
        expected, count, iterations, accepted = plain_repair(start, cell, False, max_iterations)
        assert displacements(repaired, expected)[number].max() < POSITION_TOLERANCE
        assert (log.close_pairs[number], log.iterations[number], log.accepted[number]) == (count, iterations, accepted)
    assert len(set(log.accepted)) == 2, "accepted and rejected structures should both occur"


@pytest.mark.parametrize("cell", [CUBE, SKEWED], ids=["cube", "skewed"])
def test_equals_a_plain_loop_with_the_minimum_image(cell):
    positions = np.random.default_rng(1).uniform(size=(4, 40, 3)) @ cell
    repaired, log = repair(crystals(positions, cell), max_iterations=5)
    assert log.close_pairs.min() > 5
    for number, start in enumerate(positions):
        expected, *rest = plain_repair(start, cell, True, 5)
        assert displacements(repaired, expected)[number].max() < POSITION_TOLERANCE
        assert rest == [log.close_pairs[number], log.iterations[number], log.accepted[number]]


def test_nearest_image_matches_ase():
    random = np.random.default_rng(2)
    for _ in range(20):
        cell = random.normal(size=(3, 3)) * random.uniform(0.5, 8, (3, 1))
        vectors = random.normal(size=(50, 3)) * 10
        theirs = get_distances(np.zeros((1, 3)), vectors, cell=cell, pbc=True)[1][0]
        np.testing.assert_allclose(np.linalg.norm(NearestImage(cell)(vectors), axis=1), theirs, atol=1e-9)


def test_coincident_atoms_part_in_a_seeded_direction():
    start = crystals([[[0, 0, 0], [10.0, 0, 0], [5, 5, 5]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]])
    repaired, log = repair(start, seed=3)
    assert log.accepted.all()
    assert log.close_pairs.tolist() == [1, 3]
    frame = repaired.to_ase()[0]
    assert frame.get_distance(0, 1, mic=True) == pytest.approx(1.6)
    np.testing.assert_array_equal(repair(start, seed=3)[0].fractional, repaired.fractional)
    assert np.abs(repair(start, seed=4)[0].fractional - repaired.fractional).max() > 0.01
    alone, _ = repair(start[1:], seed=3)
    np.testing.assert_array_equal(alone.fractional[0], repaired.fractional[1])


def test_clean_structures_keep_their_bits_and_rejected_ones_their_place():
    clean = np.random.default_rng(4).permutation(np.stack(np.meshgrid(*[[0.1, 0.4, 0.7]] * 3), -1).reshape(-1, 3))
    crowded, broken = clean * 0.2, np.full_like(clean, np.nan)
    start = Crystals(np.stack([clean, crowded, broken, clean]), CUBE, ("Li",) * 27)
    repaired, log = repair(start, max_iterations=2)
    assert log.accepted.tolist() == [True, False, False, True]
    assert log.iterations.tolist() == [1, 2, 0, 1]
    np.testing.assert_array_equal(repaired.fractional[[0, 2, 3]], start.fractional[[0, 2, 3]])
    assert (repaired.fractional[1] != start.fractional[1]).any()


def test_cell_shorter_than_the_distance_is_refused():
    with pytest.raises(CryinGANError, match=r"repeats every 1\.400"):
        repair(crystals(np.zeros((1, 1, 3)), np.diag([1.4, 5.0, 5.0])))
