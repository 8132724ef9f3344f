import ase
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy.cluster_probabilities import AlloyClusters, cluster_probabilities, undefined_order
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, VACANCY, cluster_counts
from cryingan.metrics.alloy.mapping import map_to_lattice
from tests.metrics.alloy.test_fcc import EXACT, random_occupations
from tests.metrics.alloy.test_mapping import alloy_atoms

PER_SITE = {0: 1, 1: 6, 2: 3, 3: 12, 4: 6, 5: 12, 6: 4, 7: 24}


def some_structures(structures, seed, rejected=()):
    """Counts, vacancies and whether rejected of random structures, every third of which lacks atoms."""
    rows = random_occupations(structures, seed)
    for index in range(0, structures, 3):
        rows[index, : index + 1] = VACANCY
    counts = cluster_counts(rows)
    lost = np.isin(np.arange(structures), rejected)
    counts[lost] = np.nan
    return counts, (rows == VACANCY).sum(axis=1), lost


def test_probabilities_by_name():
    counts = some_structures(4, 0)[0]
    for column, name in enumerate(CLUSTER_NAMES):
        np.testing.assert_array_equal(
            cluster_probabilities(counts)[:, column], counts[:, column] / PER_SITE[int(name[0])]
        )


def test_probabilities_of_a_shell_sum_to_one_without_vacancies():
    counts, vacancies, _ = some_structures(6, 1)
    sums = np.add.reduceat(cluster_probabilities(counts), [0, *range(3, 45, 6)], axis=1)
    np.testing.assert_allclose(sums[vacancies == 0], 1, rtol=EXACT)
    np.testing.assert_allclose(sums[:, 0], 1, rtol=EXACT)
    assert (sums[vacancies > 0, 1:] < 1).all()


def test_distance_interval_and_shares_by_hand():
    generated, reference = some_structures(20, 2, rejected=(4, 9)), some_structures(30, 3)
    metric = AlloyClusters(cluster_probabilities(reference[0]), original=25)
    metric.update(*generated)
    result = {name: value.item() for name, value in metric.compute().items()}
    rows = cluster_probabilities(np.delete(generated[0], [4, 9], axis=0))
    target = cluster_probabilities(reference[0]).mean(axis=0)
    value = np.sqrt(sum((a - b) ** 2 for a, b in zip(rows.mean(axis=0), target, strict=True)))
    rng = np.random.default_rng(7)
    samples = [rows[rng.choice(np.arange(18), size=18, replace=True)].mean(axis=0) for _ in range(1000)]
    low, high = np.percentile([np.linalg.norm(sample - target) for sample in samples], [2.5, 97.5])
    assert result["d_cluster"] == pytest.approx(value, rel=EXACT)
    assert result["d_cluster_low"] == pytest.approx(2 * value - high, rel=1e-10)
    assert result["d_cluster_high"] == pytest.approx(2 * value - low, rel=1e-10)
    # Vacant are 0, 3, 6, 12, 15, 18 of the 18 accepted: 9 is rejected.
    assert result["percent_with_vacancies"] == pytest.approx(100 * 6 / 18)
    assert result["percent_failed"] == pytest.approx(100 * 7 / 25)


def test_accumulating_is_all_at_once_and_a_set_against_itself_is_zero():
    generated, reference = some_structures(15, 4, rejected=(1,)), cluster_probabilities(some_structures(9, 5)[0])
    at_once, parts = AlloyClusters(reference), AlloyClusters(reference)
    at_once.update(*generated)
    for part in np.array_split(np.arange(15), 4):
        parts.update(*(values[part] for values in generated))
    assert at_once.compute() == parts.compute()
    itself = AlloyClusters(cluster_probabilities(generated[0]))
    itself.update(*generated)
    assert itself.compute()["d_cluster"] == 0


def test_nothing_accepted_is_not_a_number():
    reference = cluster_probabilities(some_structures(3, 0)[0])
    metric = AlloyClusters(reference)
    metric.update(*some_structures(3, 0, rejected=(0, 1, 2)))
    result = metric.compute()
    assert result["d_cluster"].isnan()
    assert result["percent_with_vacancies"].isnan()
    assert result["percent_failed"] == 100
    short = AlloyClusters(reference, original=2)
    short.update(*some_structures(3, 0))
    with pytest.raises(CryinGANError, match="original=2 must be at least the 3"):
        short.compute()


def test_score_does_not_depend_on_order_place_or_image():
    kinds = random_occupations(3, seed=6)
    reference = cluster_probabilities(cluster_counts(random_occupations(5, seed=7)))
    scores = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        metric = AlloyClusters(reference)
        for occupied in kinds:
            atoms = alloy_atoms(occupied)[rng.permutation(256)]
            atoms.positions += seed * rng.uniform(0, 14.4, 3) + 14.4 * rng.integers(-2, 3, (256, 3))
            mapped = map_to_lattice(atoms)
            metric.update(mapped.counts[None], np.array([mapped.vacancies]), np.array([mapped.reason != ""]))
        scores.append(metric.compute()["d_cluster"].item())
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
