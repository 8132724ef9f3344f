"""Bars of motifs have the given lengths."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from cryingan.plots.motifs import motif_figure, motif_name, motif_neighbor_figure

pytestmark = pytest.mark.filterwarnings("error")


def test_motif_bars_have_the_given_lengths_in_the_given_order():
    training, generated = np.array([40.0, 5.0, 0.0]), np.array([30.0, np.nan, 2.0])
    low, high = np.array([31.0, np.nan, 1.0]), np.array([45.0, np.nan, 3.0])  # an interval need not hold the value
    names = ["octahedral CN_6", "tetrahedral CN_4", "sgl_bd CN_1"]
    [axes] = motif_figure(names, training, generated, low, high, species="Li").axes
    black, blue = axes.containers
    assert [bar.get_width() for bar in black] == [40, 5, 0]
    assert [bar.get_width() for bar in blue] == pytest.approx([30, np.nan, 2], nan_ok=True)
    [intervals] = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert [segment[:, 0].tolist() for segment in intervals.get_segments() if len(segment)] == [[31, 45], [1, 3]]
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 45
    assert axes.get_xlabel() == "Li atoms (%)"
    labels = [label.get_text().replace("\N{NO-BREAK SPACE}", " ") for label in axes.get_yticklabels()]
    assert labels == ["octahedral, CN 6", "tetrahedral, CN 4", "single bond, CN 1"]
    top_first = axes.transData.transform([(0, 0), (0, 2)])[:, 1]
    assert top_first[0] > top_first[1]
    assert motif_name("none") == "none"


def test_stacked_motif_bars_join_and_end_at_the_total():
    training, generated = np.array([[10.0, 20, 5], [0, 1, 2]]), np.array([[1.0, 0, 70], [np.nan, 3, 4]])
    figure = motif_neighbor_figure(["octahedral CN_6", "linear CN_2"], training, generated)
    for axes, shares in zip(figure.axes, (training, generated), strict=True):
        bars = [[container[motif] for container in axes.containers] for motif in range(2)]
        for motif, stack in enumerate(bars):
            assert [bar.get_width() for bar in stack] == np.nan_to_num(shares[motif]).tolist()
            ends = [bar.get_x() + bar.get_width() for bar in stack]
            assert [bar.get_x() for bar in stack] == pytest.approx([0, *ends[:-1]])
            assert ends[-1] == pytest.approx(np.nansum(shares[motif]))
        assert axes.get_xlim()[1] > 71
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0 Cl", "1 Cl", "2 Cl"]
