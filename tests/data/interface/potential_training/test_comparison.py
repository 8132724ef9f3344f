"""Structures relaxed by a build and by another potential."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.relaxation.trajectory import read_trajectories
from data.interface.potential_training.comparison import agreement, relaxations
from data.interface.potential_training.errors import spearman_interval
from tests.support.potential_training import system_of


def test_starts_are_those_of_the_build_also_without_frames(built, tmp_path):
    shutil.copytree(built, tmp_path / "work")
    found = relaxations(system_of(built), tmp_path / "work", None, 50)
    frames = dict(read_trajectories(built / "structures_000000_000005"))
    assert found.numbers == sorted(frames)
    for number, start in zip(found.numbers, found.starts.to_ase(), strict=True):
        np.testing.assert_allclose(start.positions, frames[number].positions[0], atol=1e-5)
    shutil.rmtree(tmp_path / "work" / "structures_000000_000005" / "frames")
    without = relaxations(system_of(built), tmp_path / "work", {"1", "3"}, 50)
    assert without.numbers == [1, 3]
    np.testing.assert_array_equal(without.starts.fractional, found.starts.fractional[[1, 3]])
    changed = Path(system_of(built)).read_text().replace("thickness: 7.5", "thickness: 7.6")
    shutil.copytree(built.parents[1], tmp_path / "changed")
    (tmp_path / "changed" / "pair.yaml").write_text(changed)
    with pytest.raises(CryinGANError, match=r"holds a build with region .* 7\.5.*, here it is .* 7\.6"):
        relaxations(str(tmp_path / "changed" / "pair.yaml"), tmp_path / "work", None, 50)
    (tmp_path / "work" / "build.json").unlink()
    with pytest.raises(CryinGANError, match="holds no build: nothing has been relaxed there"):
        relaxations(system_of(built), tmp_path / "work", None, 50)


def test_agreement_by_hand(built):
    theirs = relaxations(system_of(built), built, None, 4)
    assert theirs.numbers == [0, 1, 2, 3]
    order = np.argsort(np.argsort(theirs.energies))
    mine = theirs.energies + np.where(order == 3, -1.0, 0.01)  # the highest becomes the lowest
    ended = SimpleNamespace(
        energy_final=mine * 31, converged=np.array([True] * 4), steps=np.array([1, 2, 3, 4]), samples=np.arange(4)
    )
    middle = float(np.sort(theirs.energies)[1:3].mean())
    found = agreement(ended, theirs, middle)
    assert found["spearman"] == pytest.approx(1 - 6 * (9 + 3) / (4 * 15))
    assert found["mae"] == pytest.approx((3 * 0.01 + 1) / 4)
    assert found["mean_difference"] == pytest.approx((3 * 0.01 - 1) / 4)
    sides = (mine <= middle) == (theirs.energies <= middle)
    assert found["agreement"] == sides.mean() <= 0.75
    ended.converged = np.array([True, True, True, False])
    assert agreement(ended, theirs, middle)["agreement"] == (sides[:3].sum()) / 4
    assert agreement(ended, theirs, None)["agreement"] is None


def test_interval_of_a_rank_correlation():
    rng = np.random.default_rng(3)
    first = rng.normal(size=40)
    second = first + rng.normal(size=40)
    draws = []
    for _ in range(2000):
        chosen = rng.integers(0, 40, 40)
        ranks = [np.argsort(np.argsort(values[chosen] + 1e-9 * rng.normal(size=40))) for values in (first, second)]
        draws.append(np.corrcoef(*ranks)[0, 1])
    np.testing.assert_allclose(spearman_interval(first, second), np.quantile(draws, (0.025, 0.975)), atol=0.03)
    assert spearman_interval(first, first) == pytest.approx((1, 1))
    assert spearman_interval(first[:2], second[:2]) is None
    assert np.isfinite(spearman_interval(first[:3], second[:3])).all()  # many draws are of one value
