"""Names of fractions: they sort in W&B, one for each threshold, and those of version 0.1.0 are understood."""

import re

import numpy as np
import pytest

from cryingan.storage.fraction_keys import current_key, fraction_key, threshold_in

THRESHOLDS = (0, -0.0, 0.05, -0.05, 0.5, -0.5, 5, -5, 10, -10, 0.1, 1.0, 100, 0.001, 1e-7, -1e-7, 2.5e9, 10.05, -100.5)


def test_one_name_for_each_threshold():
    names = {fraction_key(threshold) for threshold in THRESHOLDS}
    assert len(names) == len(set(map(float, THRESHOLDS)))
    assert all(re.fullmatch("[A-Za-z0-9_/]+", name) for name in names)
    for threshold in THRESHOLDS:
        assert float(threshold_in(fraction_key(threshold))) == threshold
        assert fraction_key(np.float64(threshold)) == fraction_key(threshold)


@pytest.mark.parametrize("end", ["", "_low", "_high"])
def test_former_names_become_those_of_today(end):
    for threshold in THRESHOLDS:
        former, today = f"relax/fraction_below_{threshold + 0.0:g}{end}", fraction_key(threshold) + end
        assert current_key(former) == current_key(today) == today
        assert current_key(former.removeprefix("relax/")) == today.removeprefix("relax/")
        assert (threshold_in(former) is None) == bool(end)


def test_what_was_called_a_wasserstein_distance_is_a_difference_of_scores():
    assert [current_key(f"{part}/wasserstein") for part in ("train", "val", "relax")] == [
        "train/score_difference",
        "val/score_difference",
        "relax/wasserstein",
    ]


def test_other_names_stay():
    for name in ("epoch", "relax/energy_low", "samples/close_pairs", "relax/fraction_below_", "relax/fraction_below_x"):
        assert current_key(name) == name
        assert threshold_in(name) is None
