"""Mean neighbour distances and their error in lattices known by heart."""

import numpy as np
import pytest
import torch

from cryingan.metrics.neighbor_distances import NeighborDistanceError, mean_neighbor_distances
from tests.support.metric_tester import check_metric

CUBE = torch.from_numpy(np.indices((4,) * 3).reshape(1, 3, -1).swapaxes(1, 2) / 4)


def cell(edge):
    return torch.eye(3, dtype=torch.float64) * 4 * edge


def test_simple_cubic():
    expected = [3.0] * 6 + [3.0 * 2**0.5]
    assert mean_neighbor_distances(CUBE, cell(3.0), 7).tolist() == pytest.approx(expected, abs=1e-12)


def test_error_of_a_stretched_lattice():
    """Every one of the six distances is longer by the stretch."""
    reference = mean_neighbor_distances(CUBE, cell(3.0), 6)
    for edge, expected in ((3.1, 0.1), (2.8, 0.2), (3.0, 0.0)):
        metric = NeighborDistanceError(reference, cell(edge))
        metric.update(CUBE)
        assert metric.compute().item() == pytest.approx(expected, abs=1e-12)


def test_metric_is_the_error_of_all_at_once():
    fractional = torch.from_numpy(np.random.default_rng(0).uniform(size=(9, 20, 3)))
    reference = mean_neighbor_distances(fractional[:4], cell(2.0), 6)
    expected = (mean_neighbor_distances(fractional, cell(2.0), 6) - reference).abs().mean()
    check_metric(lambda: NeighborDistanceError(reference, cell(2.0)), fractional.split([2, 4, 3]), expected)
