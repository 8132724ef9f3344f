"""Distributions of most likely motifs against counts with collections.Counter."""

from collections import Counter

import numpy as np
import pytest

from cryingan.metrics.bootstrap import mean_interval
from cryingan.metrics.motifs.distributions import FIGURE_ORDER, NAMES, motif_distribution, motif_shares
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES

COMMON = ("octahedral CN_6", "tetrahedral CN_4", "sgl_bd CN_1", "q4 CN_9", "see-saw-like CN_4")
ORDER = ("octahedral CN_6", "see-saw-like CN_4", "tetrahedral CN_4", "sgl_bd CN_1", "q4 CN_9")


def drawn(structures=8, sites=50, seed=0, names=COMMON):
    random = np.random.default_rng(seed)
    motif = np.array([MOTIF_NAMES.index(name) for name in names])[random.integers(len(names), size=(structures, sites))]
    cn = np.array([int(name.rsplit("_", 1)[1]) for name in MOTIF_NAMES])[motif]
    return motif, random.integers(cn + 1)


def counted(motif, neighbors):
    """Percent by motif and by motif and neighbours."""
    atoms = motif.size
    names = [MOTIF_NAMES[index] for index in motif.ravel()]
    single = {name: 100 * count / atoms for name, count in Counter(names).items()}
    pairs = Counter(zip(names, neighbors.ravel().tolist(), strict=True))
    return single, {pair: 100 * count / atoms for pair, count in pairs.items()}


def test_order_of_the_figures():
    names = [NAMES[index] for index in FIGURE_ORDER]
    assert sorted(FIGURE_ORDER) == list(range(len(NAMES)))
    assert names[:8] == [
        "cuboctahedral CN_12",
        "hexagonal bipyramidal CN_8",
        "body-centered cubic CN_8",
        "pentagonal bipyramidal CN_7",
        "hexagonal pyramidal CN_7",
        "pentagonal pyramidal CN_6",
        "octahedral CN_6",
        "hexagonal planar CN_6",
    ]
    assert names[11:16] == [
        "trigonal pyramidal CN_4",
        "see-saw-like CN_4",
        "rectangular see-saw-like CN_4",
        "tetrahedral CN_4",
        "square co-planar CN_4",
    ]
    assert names[24] == "sgl_bd CN_1"
    assert {name.split(" CN")[0] for name in names[25:]} == {"q2", "q4", "q6", "None"}


def test_shares_and_intervals():
    generated, reference = drawn(), drawn(5, 40, seed=1)
    result = motif_distribution(motif_shares(*generated), motif_shares(*reference))
    assert result.motifs == (*ORDER, "other")
    for shares, split, (single, pairs) in (
        (result.reference, result.reference_split, counted(*reference)),
        (result.generated.value, result.generated_split.value, counted(*generated)),
    ):
        np.testing.assert_allclose(shares, [single.get(name, 0) for name in result.motifs], atol=1e-12)
        expected = [[pairs.get((name, n), 0) for n in range(split.shape[1])] for name in result.motifs]
        np.testing.assert_allclose(split, expected, rtol=0, atol=1e-12)
        assert shares.sum() == pytest.approx(100)
    octahedral = 100 * (generated[0] == MOTIF_NAMES.index("octahedral CN_6")).mean(axis=1)
    alone = mean_interval(octahedral)
    found = [end[0] for end in (result.generated.value, result.generated.low, result.generated.high)]
    np.testing.assert_allclose(found, [alone.value, alone.low, alone.high], rtol=0, atol=1e-12)


def test_what_is_rare_in_the_reference_is_other():
    motif, neighbors = drawn(1, 100, names=("tetrahedral CN_4",))
    motif[0, 0] = MOTIF_NAMES.index("linear CN_2")  # exactly 1 %
    motif[0, 1:3] = -1
    generated, counts = drawn(2, 10, seed=1, names=("T-shaped CN_3",))
    generated[1, 0] = -1
    counts[1, 0] = 0
    result = motif_distribution(motif_shares(generated, counts), motif_shares(motif, neighbors * 0))
    assert result.motifs == ("tetrahedral CN_4", "linear CN_2", "None", "other")
    np.testing.assert_allclose(result.reference, [97, 1, 2, 0], atol=1e-12)
    np.testing.assert_allclose(result.generated.value, [0, 0, 5, 95], atol=1e-12)
    motif = np.append(motif, motif[:, -1:], axis=1)  # slightly less than 1 %
    rarer = motif_distribution(motif_shares(generated, counts), motif_shares(motif))
    assert rarer.motifs == ("tetrahedral CN_4", "None", "other")


def test_without_neighbours_there_is_one_column():
    motif, _ = drawn()
    result = motif_distribution(motif_shares(motif), motif_shares(motif))
    assert result.generated_split.value.shape == (6, 1)
    np.testing.assert_array_equal(result.generated.value, result.reference)


def test_masks_and_structures_of_any_size():
    motif, neighbors = drawn()
    masks = np.random.default_rng(2).uniform(size=motif.shape) < 0.4
    masks[3] = False
    shares = motif_shares(motif, neighbors, masks)
    ragged = motif_shares(*([rows[mask] for rows, mask in zip(x, masks, strict=True)] for x in (motif, neighbors)))
    np.testing.assert_array_equal(shares, ragged)
    assert np.isnan(shares[3]).all()
    assert motif_distribution(shares, motif_shares(motif)).generated.structures == len(motif) - 1


def test_order_of_sites_does_not_matter():
    motif, neighbors = drawn()
    order = np.random.default_rng(3).permutation(motif.shape[1])
    np.testing.assert_array_equal(motif_shares(motif, neighbors), motif_shares(motif[:, order], neighbors[:, order]))


def test_no_structure_is_nan_with_a_reason():
    reference = motif_shares(*drawn())
    for nothing in (motif_shares([]), motif_shares(np.empty((3, 0), dtype=int))):
        result = motif_distribution(nothing, reference)
        assert np.isnan(result.generated.value).all()
        assert len(result.generated.value) == len(result.motifs) == 6
        assert result.generated.reason
    lacking = motif_distribution(reference, motif_shares([]))
    assert lacking.motifs == ("other",)
    assert np.isnan(lacking.reference).all()
