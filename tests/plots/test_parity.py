"""Parity plots count what they do not show."""

import numpy as np
import pytest

from cryingan.plots.parity import Parity, parity_figure

pytestmark = pytest.mark.filterwarnings("error")


def test_parity_counts_what_it_does_not_show_and_is_square():
    random = np.random.default_rng(0)
    reference = random.normal(-4.9, 0.05, 3000)
    predicted = reference + random.normal(0, 0.003, 3000)
    predicted[:2], reference[2], predicted[3] = (1e3, -1e3), np.nan, np.inf
    parity = Parity(reference, predicted, "eV/atom", 2.75, "meV/atom", 0.9981)
    [axes] = parity_figure({"energy": parity}, ("DFT", "M3GNet")).axes
    assert axes.get_title(loc="left") == "MAE 2.75 meV/atom\nSpearman 0.998\n4 not shown"
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_xlim()[0] < reference[4:].min()
    assert axes.get_xlim()[1] > reference[4:].max()
    points = axes.lines[-1].get_xydata()
    assert points == pytest.approx(np.stack([reference, predicted], axis=1)[4:])
    assert axes.lines[-1].get_rasterized()
    assert axes.get_xlabel() == "DFT energy (eV/atom)"
