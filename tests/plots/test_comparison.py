"""The comparison of models marks undefined values and shows every range."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from cryingan.plots.comparison import comparison_figure

pytestmark = pytest.mark.filterwarnings("error")


def test_comparison_marks_what_is_undefined_and_shows_every_range():
    metrics = {
        "d_Li": np.array([[0.2, np.nan, 0.5], [0.1, np.nan, 0.55], [0.3, np.nan, 0.7]]),
        "percent_failed": np.array([[0.0, 50, 99], [-2, 40, 98], [3, 60, 100]]),
    }
    figure = comparison_figure(["a", "b", "c"], metrics)
    distance, failed = figure.axes
    assert [axes.get_title() for axes in figure.axes] == [r"$d_\mathrm{Li}$", "failed (%)"]
    [text] = distance.texts
    assert text.get_text() == "undefined"
    assert text.get_position()[1] == distance.get_yticks()[1]
    assert distance.get_xlim()[0] < 0 < 0.7 < distance.get_xlim()[1]
    assert failed.get_xlim()[0] < -2 < 100 < failed.get_xlim()[1]
    [ranges] = [c for c in failed.collections if isinstance(c, LineCollection)]
    assert [segment[:, 0].tolist() for segment in ranges.get_segments()] == [[-2, 3], [40, 60], [98, 100]]
    assert list(failed.get_yticks()) == sorted(failed.get_yticks())
    assert failed.yaxis_inverted()
