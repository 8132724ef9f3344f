"""Cluster probabilities by name and by hand, and d_cluster of structures moved as a whole."""

import ase
import numpy as np
import pytest

from cryingan.metrics.alloy.cluster_probabilities import cluster_probabilities, undefined_order
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, VACANCY, cluster_counts
from cryingan.metrics.alloy.mapping import map_to_lattice
from cryingan.metrics.bootstrap import distance_of_means
from tests.support.alloys import EXACT, alloy_atoms, random_occupations

PER_SITE = {0: 1, 1: 6, 2: 3, 3: 12, 4: 6, 5: 12, 6: 4, 7: 24}


def some_counts(structures, seed):
    """Counts and vacancies of random structures, every third of which lacks atoms."""
    rows = random_occupations(structures, seed)
    for index in range(0, structures, 3):
        rows[index, : index + 1] = VACANCY
    return cluster_counts(rows), (rows == VACANCY).sum(axis=1)


def test_probabilities_by_name():
    counts = some_counts(4, 0)[0]
    for column, name in enumerate(CLUSTER_NAMES):
        np.testing.assert_array_equal(
            cluster_probabilities(counts)[:, column], counts[:, column] / PER_SITE[int(name[0])]
        )


def test_probabilities_of_a_shell_sum_to_one_without_vacancies():
    counts, vacancies = some_counts(6, 1)
    sums = np.add.reduceat(cluster_probabilities(counts), [0, *range(3, 45, 6)], axis=1)
    np.testing.assert_allclose(sums[vacancies == 0], 1, rtol=EXACT)
    np.testing.assert_allclose(sums[:, 0], 1, rtol=EXACT)
    assert (sums[vacancies > 0, 1:] < 1).all()


def test_distance_and_its_interval_by_hand():
    generated, reference = (cluster_probabilities(some_counts(*some)[0]) for some in ((18, 2), (30, 3)))
    result, target = distance_of_means(generated, reference), reference.mean(axis=0)
    value = np.sqrt(sum((a - b) ** 2 for a, b in zip(generated.mean(axis=0), target, strict=True)))
    rng = np.random.default_rng(7)
    samples = [generated[rng.choice(np.arange(18), size=18, replace=True)].mean(axis=0) for _ in range(1000)]
    low, high = np.percentile([np.linalg.norm(sample - target) for sample in samples], [2.5, 97.5])
    assert result.value == pytest.approx(value, rel=EXACT)
    assert result.low == pytest.approx(2 * value - high, rel=1e-10)
    assert result.high == pytest.approx(2 * value - low, rel=1e-10)


def test_score_does_not_depend_on_order_place_or_image():
    kinds = random_occupations(3, seed=6)
    reference = cluster_probabilities(cluster_counts(random_occupations(5, seed=7)))
    scores = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        counts = []
        for occupied in kinds:
            atoms = alloy_atoms(occupied)[rng.permutation(256)]
            atoms.positions += seed * rng.uniform(0, 14.4, 3) + 14.4 * rng.integers(-2, 3, (256, 3))
            counts.append(map_to_lattice(atoms).counts)
        scores.append(distance_of_means(cluster_probabilities(np.stack(counts)), reference).value)
    np.testing.assert_allclose(scores, scores[0], rtol=EXACT)


def test_why_an_order_parameter_is_not_a_number():
    whole = random_occupations(1)[0]
    no_nickel, iron = np.where(whole == 2, 1, whole), np.ones_like(whole)
    nothing, two = np.full_like(whole, VACANCY), np.full_like(whole, VACANCY)
    two[0], two[100], two[7] = 0, 1, 2
    reasons = undefined_order(cluster_counts(np.stack([whole, no_nickel, iron, nothing, two])))
    assert reasons[:4] == ["", "no Ni", "no Cr and no Ni", "no atom on the lattice"]
    assert "has no neighbour in that shell" in reasons[4]


def test_one_atom_has_probabilities():
    mapped = map_to_lattice(ase.Atoms("Fe", cell=14.4 * np.eye(3), pbc=True))
    assert (mapped.vacancies, mapped.reason) == (
        255,
        "255 of 256 sites are vacant, more than 50; rotated: no three directions in which atoms repeat",
    )
    np.testing.assert_array_equal(cluster_probabilities(mapped.counts), np.eye(45)[1])
