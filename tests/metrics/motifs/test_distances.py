"""Distances between mean fingerprints against their definition word by word, and by hand."""

import numpy as np
import pytest
from scipy.spatial import distance as scipy_distance

from cryingan.metrics.motifs.distances import motif_distances, site_means

SITES = {"Li": 7, "Co": 4, "Sc": 2}
FEATURES = 9
ROUNDING = 1e-13


def fingerprints(structures=6, seed=0):
    random = np.random.default_rng(seed)
    return {species: random.uniform(size=(structures, sites, FEATURES)) for species, sites in SITES.items()}


def means(stacked):
    return {species: site_means(sites) for species, sites in stacked.items()}


def by_position(stacked, kind, reference):
    """Value and ends for each species and all of them, from flat rows as Dismai-Bench slices them."""
    structures = len(stacked["Li"])
    flat = {species: sites.reshape(-1, FEATURES) for species, sites in stacked.items()}
    train = {species: sites.reshape(-1, FEATURES).mean(axis=0) for species, sites in reference.items()}
    measure = {"euclidean": scipy_distance.euclidean, "cosine": scipy_distance.cosine}[kind]

    def mean(species, drawn):
        n = SITES[species]
        return np.mean([flat[species][i * n : (i + 1) * n].mean(axis=0) for i in drawn], axis=0)

    def total(of):
        return sum(n * of(species) for species, n in SITES.items()) / sum(SITES.values())

    result = {}
    for name in (*SITES, "all"):

        def statistic(drawn, name=name):
            if name == "all":
                return measure(total(lambda s: mean(s, drawn)), total(train.__getitem__))
            return measure(mean(name, drawn), train[name])

        random = np.random.default_rng(7)
        samples = [statistic(random.choice(np.arange(structures), size=structures)) for _ in range(1000)]
        value = statistic(range(structures))
        low, high = np.percentile(samples, [2.5, 97.5])
        result[f"d_{name}"] = [value, 2 * value - high, 2 * value - low]
    return result


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_as_they_are_defined(kind):
    generated, reference = fingerprints(5), fingerprints(8, seed=1)
    result = motif_distances(means(generated), means(reference), SITES, kind)
    expected = by_position(generated, kind, reference)
    assert list(result) == list(expected) == ["d_Li", "d_Co", "d_Sc", "d_all"]
    for name, interval in result.items():
        np.testing.assert_allclose([interval.value, interval.low, interval.high], expected[name], rtol=0, atol=ROUNDING)
        assert (interval.structures, interval.reason) == (5, "")


@pytest.mark.parametrize(("species", "share"), [("Li", 0.6), ("Co", 0.3), ("Sc", 0.1)])
def test_share_of_one_species_in_all(species, share):
    sites = {"Li": 72, "Co": 36, "Sc": 12}
    reference = {symbol: np.random.default_rng(2).uniform(size=(3, n, 109)) for symbol, n in sites.items()}
    generated = {symbol: rows.copy() for symbol, rows in reference.items()}
    generated[species][..., 0] += 1
    result = motif_distances(means(generated), means(reference), sites)
    for name, interval in result.items():
        expected = {f"d_{species}": 1, "d_all": share}.get(name, 0)
        assert interval.value == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
@pytest.mark.parametrize("change", [lambda x: x, np.zeros_like])
def test_zero_against_itself(kind, change):
    rows = {species: site_means(change(sites)) for species, sites in fingerprints().items()}
    assert {interval.value for interval in motif_distances(rows, rows, SITES, kind).values()} == {0.0}


def test_order_of_sites_and_a_known_mean_change_nothing():
    generated, reference = fingerprints(5), means(fingerprints(8, seed=1))
    random = np.random.default_rng(4)
    shuffled = {species: sites[:, random.permutation(sites.shape[1])] for species, sites in generated.items()}
    known = {species: rows.mean(axis=0)[None] for species, rows in reference.items()}
    expected = motif_distances(means(generated), reference, SITES)
    for result in (motif_distances(means(shuffled), reference, SITES), motif_distances(means(generated), known, SITES)):
        for name in expected:
            assert result[name].value == pytest.approx(expected[name].value, abs=ROUNDING)
            assert result[name].low == pytest.approx(expected[name].low, abs=ROUNDING)


def test_structures_that_differ_in_sites_count_alike():
    stacked = fingerprints()["Li"]
    ragged = [stacked[0], stacked[1, :3], stacked[2, :0]]
    rows = site_means(ragged)
    np.testing.assert_allclose(rows[0], stacked[0].mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(rows[1], stacked[1, :3].mean(axis=0), rtol=1e-15)
    assert np.isnan(rows[2]).all()
    masks = np.zeros((3, 7), dtype=bool)
    masks[0], masks[1, :3] = True, True
    np.testing.assert_array_equal(site_means(stacked[:3], masks), rows)
    assert site_means(stacked.astype(np.float32)).dtype == np.float64
    assert site_means(np.empty((0, 7, FEATURES))).shape == (0, FEATURES)
    assert np.isnan(site_means(np.empty((2, 0, FEATURES)))).all()


def test_missing_species_and_no_structure_are_nan_with_a_reason():
    reference = means(fingerprints())
    lacking = {**means(fingerprints(seed=1)), "Sc": np.full((6, FEATURES), np.nan)}
    for result in (motif_distances(lacking, reference, SITES), motif_distances(reference, lacking, SITES)):
        assert np.isfinite([result[name].value for name in ("d_Li", "d_Co")]).all()
        for name in ("d_Sc", "d_all"):
            assert np.isnan([result[name].value, result[name].low, result[name].high]).all()
            assert result[name].reason.endswith("Sc is missing")
    nothing = {species: np.empty((0, FEATURES)) for species in SITES}
    for interval in motif_distances(nothing, reference, SITES).values():
        assert np.isnan(interval.value)
        assert "no structure" in interval.reason
