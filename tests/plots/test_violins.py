"""Violins show quartiles, and how many values lie beyond the axis."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from cryingan.plots.violins import sro_figure

pytestmark = pytest.mark.filterwarnings("error")


def segments(axes, style):
    """Horizontal lines of violins drawn in a style: (left, right, height)."""
    lines = [c for c in axes.collections if isinstance(c, LineCollection) and _style(c) == style]
    found = [(*segment[:, 0], segment[0, 1]) for line in lines for segment in line.get_segments() if len(segment)]
    return np.array(sorted(found)).reshape(-1, 3)


def _style(collection):
    return "-" if collection.get_linestyles()[0][1] is None else ":"


def test_violins_show_quartiles_on_the_right_side_and_hold_the_data():
    random = np.random.default_rng(0)
    training, generated = random.normal(0, 1, (400, 2, 3)), random.normal(1, 2, (300, 2, 3))
    figure = sro_figure(training, generated, ("A-A", "A-B", "B-B"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["shell 1", "shell 2"]
    for shell, axes in enumerate(figure.axes):
        medians, quartiles = segments(axes, "-"), segments(axes, ":")
        expected = [np.median(side[:, shell, pair]) for pair in range(3) for side in (training, generated)]
        assert medians[:, 2] == pytest.approx(expected)
        assert (medians[0::2, 1] < np.arange(3)).all()
        assert (medians[1::2, 0] > np.arange(3)).all()
        assert len(quartiles) == 12
        both = np.percentile(np.stack([training[:, shell, 0]]), (25, 75))
        assert set(both.round(9)) <= set(quartiles[:, 2].round(9))
        low, high = axes.get_ylim()
        assert low < min(training[:, shell].min(), generated[:, shell].min())
        assert high > max(training[:, shell].max(), generated[:, shell].max())
        assert [label.get_text() for label in axes.get_xticklabels()] == ["A-A", "A-B", "B-B"]
        halves = [c for c in axes.collections if isinstance(c, PolyCollection)]
        heights = [half.get_paths()[0].vertices[:, 1] for half in halves]
        assert heights[0].min() == pytest.approx(training[:, shell, 0].min())
        assert heights[0].max() == pytest.approx(training[:, shell, 0].max())


def test_violins_of_constants_nan_and_outliers():
    training, generated = np.random.default_rng(0).normal(0, 1, (2, 100, 1, 4))
    training[:, 0, 0], generated[:, 0, 0] = 0.5, np.nan
    training[:3, 0, 1], generated[0, 0, 1] = 1e6, -1e6
    generated[:50, 0, 2] = np.nan
    [axes] = sro_figure(training, generated, tuple("abcd")).axes
    low, high = axes.get_ylim()
    assert -6 < low < -2
    assert 2 < high < 6
    assert sorted(text.get_text() for text in axes.texts) == ["1↓", "3↑"]
    [constant] = [line for line in segments(axes, "-") if line[1] < 0]
    assert constant[2] == 0.5
    assert not [line for line in segments(axes, "-") if 0 < line[0] < 0.5]
    assert np.median(generated[50:, 0, 2]).round(9) in segments(axes, "-")[:, 2].round(9)
