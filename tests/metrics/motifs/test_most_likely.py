"""Most likely coordination numbers and motifs, of structures known by heart and of hand-made features."""

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES, MotifSettings, feature_names, fingerprints, most_likely
from tests.support.motif_structures import CATIONS, IONS, STRUCTURES

INTERFACE = MotifSettings(CATIONS, IONS, ("Cl", "O"))
SILICON = MotifSettings(("Si",))


def test_most_likely():
    (rows,) = fingerprints(STRUCTURES["diamond"], SILICON).values()
    found = most_likely(rows, SILICON)
    assert found.cn.tolist() == [4, 4]
    assert [MOTIF_NAMES[motif] for motif in found.motif] == ["tetrahedral CN_4"] * 2
    np.testing.assert_allclose([found.likelihood, found.value], 1)
    assert found.anion_counts.shape == (2, 0)
    found = most_likely(fingerprints(STRUCTURES["rock salt"], INTERFACE)["Li"], INTERFACE)
    assert (found.cn.tolist(), found.anion_counts.tolist()) == ([6], [[6, 0]])
    assert MOTIF_NAMES[found.motif[0]] == "octahedral CN_6"


def test_most_likely_of_hand_made_features():
    """Ties go to the smaller number; features of other numbers do not count; from 13 on there is no motif."""
    names = feature_names(INTERFACE)
    given = [
        {"wt CN_2": 0.5, "wt CN_12": 0.5, "linear CN_2": 0.1, "cuboctahedral CN_12": 0.4},
        {"wt CN_13": 0.9, "wt CN_1": 0.1, "sgl_bd CN_1": 0.1, "Cl fraction coord num 13": 5 / 13},
        {"wt CN_3": 0.4, "Cl fraction coord num 3": 1 / 3, "O fraction coord num 3": 2 / 3, "T-shaped CN_3": 0.0},
        {},
    ]
    rows = np.array([[row.get(name, 0.0) for name in names] for row in given])
    found = most_likely(rows, INTERFACE)
    assert found.cn.tolist() == [2, 13, 3, 0]
    np.testing.assert_allclose(found.likelihood, [0.5, 0.9, 0.4, 0])
    assert found.anion_counts.tolist() == [[0, 0], [5, 0], [1, 2], [0, 0]]
    assert found.motif.tolist() == [MOTIF_NAMES.index("linear CN_2"), -1, MOTIF_NAMES.index("trigonal planar CN_3"), -1]
    np.testing.assert_array_equal(found.value, [0.1, np.nan, 0, np.nan])
    compatible = most_likely(rows, INTERFACE, compatible=True)
    assert compatible.cn.tolist() == [2, 13, 3, 1]
    assert MOTIF_NAMES[compatible.motif[3]] == "sgl_bd CN_1"
    assert compatible.value[3] == compatible.likelihood[3] == 0


def test_most_likely_needs_the_settings_of_the_fingerprints():
    with pytest.raises(CryinGANError, match="109"):
        most_likely(np.zeros((3, 61)), INTERFACE)
    assert all(len(column) == 0 for column in most_likely(np.zeros((0, 109)), INTERFACE))
