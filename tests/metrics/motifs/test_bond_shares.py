"""Numbers of bonds against numpy's counting, and in crystals known by heart."""

import numpy as np
import pytest
from ase.build import bulk

from cryingan.metrics.bootstrap import mean_interval
from cryingan.metrics.motifs.distributions import bond_shares
from cryingan.metrics.motifs.fingerprints import MotifSettings, fingerprints, most_likely


def counts(structures=9, sites=30, seed=0):
    return np.random.default_rng(seed).integers(7, size=(structures, sites))


def test_shares_and_means():
    numbers = counts()
    shares = bond_shares(numbers)
    for row, atoms in zip(shares, numbers, strict=True):
        kinds, often = np.unique(atoms, return_counts=True)
        expected = np.zeros(25)
        expected[kinds] = 100 * often / len(atoms)
        np.testing.assert_allclose(row, expected, rtol=1e-14)
    np.testing.assert_allclose(shares @ np.arange(25) / 100, numbers.mean(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(bond_shares(numbers[:, ::-1]), shares)


def test_sites_of_a_region_and_none_at_all():
    numbers = counts(3)
    masks = numbers > 2
    masks[1] = False
    shares = bond_shares(numbers, masks)
    assert (shares[[0, 2], :3] == 0).all()
    np.testing.assert_allclose(shares[[0, 2]].sum(axis=1), 100)
    assert np.isnan(shares[1]).all()
    assert mean_interval(shares).structures == 2
    assert bond_shares([]).shape == (0, 25)
    np.testing.assert_array_equal(bond_shares([np.array([0, 0])])[0], np.eye(25)[0] * 100)


@pytest.mark.parametrize(("anion", "bonds"), [("O", 4), ("Cl", 0)])
def test_lithium_of_antifluorite_has_four_oxygen(anion, bonds):
    crystal = bulk("OLi2", "fluorite", a=4.62, cubic=True)
    settings = MotifSettings(("Li",), {"Li": 1, "O": -2}, ("Cl", "O"))
    likely = most_likely(fingerprints(crystal, settings)["Li"], settings)
    shares = bond_shares([likely.anion_counts[:, settings.anions.index(anion)]])
    assert shares[0, bonds] == 100
