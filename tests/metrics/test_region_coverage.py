"""The measures of a region, collected in parts and from several processes."""

import torch

from cryingan.metrics.region_coverage import RegionCoverage
from cryingan.metrics.region_reference import KEYS, RegionReference
from tests.support.metric_tester import check_metric
from tests.support.shared_sites import interfaces


def test_metric_is_the_comparison_of_all_at_once():
    training, samples = interfaces(30, 0), interfaces(11, 1)
    reference = RegionReference.of(training)
    found = reference.compare(samples)
    expected = torch.tensor([found[key] for key in KEYS], dtype=torch.float64)
    parts = torch.from_numpy(samples.fractional).split([1, 8, 2])
    check_metric(lambda: RegionCoverage(reference, training[:0]), parts, expected)
