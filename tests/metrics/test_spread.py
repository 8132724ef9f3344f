"""How far an atom is from its place in the next structure, by hand and against a plain loop."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from cryingan.metrics.spread import Spread, spread
from tests.support.metric_tester import check_metric

CELL = np.array([[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [0.0, 0.5, 7.0]])


def structures(number=7, seed=0):
    return np.random.default_rng(seed).uniform(size=(number, 20, 3))


def test_one_translation_through_the_boundary():
    one = structures(1)
    moved = (one + np.array([0.9, 0.0, 0.0])) % 1.0  # 0.1 the other way round
    assert spread(np.concatenate([one, moved]), np.diag([5.0, 6.0, 7.0])) == pytest.approx(0.5, abs=1e-12)


def test_plain_loop():
    fractional, lengths = structures(), []
    for one, other in pairwise(fractional):
        for first, second in zip(one, other, strict=True):
            step = [d - round(d) for d in second - first]
            lengths.append(np.linalg.norm(sum(part * vector for part, vector in zip(step, CELL, strict=True))))
    assert spread(fractional, CELL) == pytest.approx(np.mean(lengths), rel=1e-12)


@pytest.mark.parametrize("number", [0, 1])
def test_a_single_structure_has_none(number):
    assert np.isnan(spread(structures(number), CELL))


def test_metric_is_the_spread_of_all_at_once():
    fractional = structures()
    expected = torch.tensor(spread(fractional, CELL), dtype=torch.float64)
    check_metric(lambda: Spread(torch.from_numpy(CELL)), torch.from_numpy(fractional).split([1, 4, 2]), expected)
