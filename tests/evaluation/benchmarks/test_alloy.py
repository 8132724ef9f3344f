"""The scores of alloys, put together again from what each structure gives."""

import numpy as np
import pytest

from cryingan.evaluation.benchmarks.alloy import AlloyBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics.alloy.fcc import (
    CLUSTER_NAMES,
    SRO_NAMES,
    cluster_counts,
    fcc_sites,
    formation_energy,
    occupation,
    short_range_order,
)
from tests.evaluation.benchmarks.resampling import broken, check, columns, euclidean, pivotal
from tests.support.evaluation import QUIET, alloy

REPEATS = 4
PER_SITE = np.repeat([1, 6, 3, 12, 6, 12, 4, 24], [3, *[6] * 7])  # points and pairs


def counts_of(structures):
    """Clusters per atom, shape (structures, 45), of atoms near the sites."""
    sites = fcc_sites(REPEATS)
    filled = [occupation(a.get_scaled_positions()[None], a.get_chemical_symbols(), a.cell, sites) for a in structures]
    return cluster_counts(np.concatenate(filled))


def proportion_confint(count, total, z=1.959963984540054):
    """Wilson's interval from its closed form."""
    share, square = count / total, z**2 / total
    half = z / total * np.sqrt(total * share * (1 - share) + z**2 / 4)
    return (np.array([-half, half]) + share + square / 2) / (1 + square)


@pytest.fixture(scope="module")
def structures():
    make = {"repeats": REPEATS}
    return alloy(2, 1, **make) + alloy(3, 2, vacancies=3, **make), alloy(3, 3, **make)


@pytest.fixture(scope="module")
def result(structures, tmp_path_factory):
    """The evaluation of structures of which the second fails, and its folder."""
    generated, reference = structures
    output = tmp_path_factory.mktemp("alloy") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
        some = [generated[0], broken(generated[0]), *generated[1:]]
        return evaluate(some, reference, "alloy", output=output, **QUIET), output


def test_distance_and_its_interval(structures, result):
    values = result[0].values
    generated, reference = map(counts_of, structures)
    check(values["d_cluster"], euclidean(generated / PER_SITE, reference / PER_SITE))
    for name, count, total in (("percent_with_vacancies", 3, 5), ("percent_failed", 1, 6)):
        check(values[name], (100 * count / total, *(100 * proportion_confint(count, total))))
    check(values["formation_energy"], pivotal(formation_energy(generated), float))
    for name, order in zip(SRO_NAMES, short_range_order(generated).T, strict=True):
        check(values[f"sro_{name.replace('NN', '')}"], pivotal(order, float))


def test_structures_keep_their_values_around_one_that_fails(structures, result):
    folder, counts = result[1], counts_of(structures[0])
    rows = columns(folder / "structures.csv")
    assert rows["accepted"] == ("True", "False", "True", "True", "True", "True")
    assert rows["vacancies"] == ("0", "", "0", "3", "3", "3")
    expected = {"formation_energy": formation_energy(counts), "sro_1_Cr-Fe": short_range_order(counts)[:, 1]}
    for name, column in expected.items():
        assert rows[name][1] == ""
        np.testing.assert_allclose([float(value) for value in rows[name] if value], column, rtol=1e-9)
        assert len(set(column.round(9))) == 5
    table = columns(folder / "cluster_prob.csv")
    assert tuple(table) == CLUSTER_NAMES
    np.testing.assert_allclose(np.array([*table.values()], dtype=float).T, counts / PER_SITE, rtol=1e-12)
    numbers = ("1", "3", "4", "5", "6")
    assert columns(folder / "vac_count.csv") == {"structure_index": numbers, "vac_count": ("0", "0", "3", "3", "3")}
    assert columns(folder / "formation_energy.csv")["structure index"] == numbers


@pytest.mark.parametrize("mapping", ["auto", "cryingan"])
def test_compatible_counts_are_rounded(structures, mapping):
    generated = structures[0][-1]
    exact = counts_of([generated])[0]
    benchmark = {
        c: AlloyBenchmark(compatible=c, mapping=mapping).for_reference(structures[1][0]) for c in (False, True)
    }
    described = {compatible: one.describe(generated) for compatible, one in benchmark.items()}
    np.testing.assert_allclose(described[False]["counts"], exact, rtol=1e-12)
    np.testing.assert_array_equal(described[True]["counts"], exact.round(5))
    assert np.abs(exact.round(5) - exact).max() > 1e-6
    assert all(one["vacancies"] == 3 for one in described.values())
