"""Curves, and quantities over a parameter, lie within their axes."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from cryingan.plots.curves import curve_figure, parameter_figure
from cryingan.plots.series import Series
from cryingan.plots.style import BLACK, BLUE

pytestmark = pytest.mark.filterwarnings("error")


def test_curves_share_axes_that_hold_every_band():
    x = np.arange(0.25, 180, 0.5)

    def curves(peak):
        value = peak * np.exp(-(((x - 107) / 9) ** 2))
        return {"training set": Series(x, value), "generated": Series(x, value, 0.8 * value - 0.01, 1.5 * value)}

    panels = {"Li": curves(1), "Co": curves(7), "Sc": curves(3)}
    figure = curve_figure(panels, "bond angle (°)", "fraction (%)")
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_ylim() == (0, pytest.approx(1.05 * 10.5, rel=1e-3))
    assert {axes.get_xlim() for axes in figure.axes} == {(x[0], x[-1])}
    band = figure.axes[1].collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(10.5, rel=1e-3)
    assert [line.get_color() for line in figure.axes[0].lines] == [BLACK, BLUE]
    free = curve_figure(panels, "bond angle (°)", "fraction (%)", share_y=False)
    assert [axes.get_ylim()[1] for axes in free.axes] == pytest.approx([1.575, 11.025, 4.725], rel=1e-3)


def test_a_logarithmic_parameter_has_a_place_for_zero():
    x = np.array([0, 0.001, 0.1, 1])
    series = Series(x, np.array([4.0, np.nan, 1, 2]), np.array([3, np.nan, 0.5, -1]), np.array([5, np.nan, 2, 8]))
    [axes] = parameter_figure({"d_all": {"": series}}, "λ", log_x=True).axes
    left, right = axes.get_xlim()
    assert left < 0
    assert right > 1
    places = axes.transAxes.inverted().transform(axes.transData.transform(np.stack([x, x], axis=1)))[:, 0]
    assert (np.diff(places) > 0.1).all()  # on a linear axis 0 and 0.001 are one place
    assert axes.get_ylim()[0] < -1
    assert axes.get_ylim()[1] > 8
    assert not axes.figure.legends
    assert axes.get_ylabel() == r"$d_\mathrm{all}$"


def test_logarithmic_quantities_leave_out_what_is_not_positive():
    series = Series(
        np.array([1, 10, 100]), np.array([0.0, 20, 300]), np.array([-1.0, 0, 200]), np.array([1.0, 40, 400])
    )
    figure = parameter_figure({"MAE": {"a": series}}, "structures", log_x=True, log_y=True)
    figure.draw_without_rendering()
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert 0.5 < axes.get_ylim()[0] < 1
    assert 400 < axes.get_ylim()[1] < 1000
    drawn = [label.get_text() for label in axes.get_yticklabels() if label.get_text()]
    assert {"10", "100"} <= set(drawn)


def test_error_bars_of_several_series_stand_apart_and_many_points_have_a_band():
    x = np.arange(5.0)
    few = {name: Series(x, x, x - 1, x + 1) for name in ("a", "b", "c")}
    [axes] = parameter_figure({"d": few}, "λ").axes
    axes.figure.draw_without_rendering()
    bars = [c for c in axes.collections if isinstance(c, LineCollection)]
    left = [bar.get_transform().transform(bar.get_segments()[0])[0, 0] for bar in bars]
    assert np.diff(left) == pytest.approx([2.5 / 72 * axes.figure.dpi] * 2)
    assert bars[0].get_segments()[2][:, 1].tolist() == [1, 3]
    x = np.arange(200.0)
    figure = parameter_figure(
        {"fraction": {"a": Series(x, x, x - 1, x + 1)}, "distance": {"a": Series(x, -x)}}, "epoch"
    )
    assert [len(axes.collections) for axes in figure.axes] == [1, 0]
    assert [axes.get_xlim() == figure.axes[0].get_xlim() for axes in figure.axes] == [True, True]
    assert figure.axes[1].get_ylim()[0] < -199
