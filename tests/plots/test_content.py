"""What figures show: the numbers that were given, all of them, or how many are beyond the axis."""

import re

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import StepPatch

from cryingan.plots import (
    Parity,
    Series,
    comparison_figure,
    curve_figure,
    energy_figure,
    motif_figure,
    motif_neighbor_figure,
    parameter_figure,
    parity_figure,
    sro_figure,
)
from cryingan.plots.motifs import motif_name
from cryingan.plots.style import BLACK, BLUE, GREY, ORANGE, limits_without_outliers, padded, readable

pytestmark = pytest.mark.filterwarnings("error")


def outline(axes, color):
    """Heights of one set's histogram, %."""
    [patch] = [p for p in axes.patches if isinstance(p, StepPatch) and not p.fill and _hex(p.get_edgecolor()) == color]
    return patch.get_data()


def _hex(color):
    from matplotlib.colors import to_hex

    return to_hex(color).upper()


def beyond(axes):
    """Shares written at the ends, by colour, %."""
    found = {}
    for text in axes.texts:
        end = "low" if "←" in text.get_text() else "high"
        found[_hex(text.get_color()), end] = float(re.search(r"[\d.]+", text.get_text())[0])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_no_energy_vanishes(seed):
    random = np.random.default_rng(seed)
    training = random.normal(-0.4, 0.1, 700)
    generated = np.concatenate([random.normal(-0.2, 0.3, 600), random.exponential(20, 100), [-50.0, np.nan, np.inf]])
    unrelaxed, atoms = generated + random.exponential(2, len(generated)), random.normal(1, 2, 300)
    [axes] = energy_figure(generated, training, 1000, "J/m^2", unrelaxed=unrelaxed, random=atoms).axes
    low, high = axes.get_xlim()
    texts = beyond(axes)
    sets = ((BLACK, training, 700), (BLUE, generated, 1000), (ORANGE, unrelaxed, 701), (GREY, atoms, 300))
    for color, energies, total in sets:
        energies = energies[np.isfinite(energies)]
        data = outline(axes, color)
        assert data.edges[[0, -1]] == pytest.approx([low, high])
        for end, outside in (("low", energies < low), ("high", energies > high)):
            assert texts.get((color, end), 0) == pytest.approx(100 * outside.sum() / total, abs=0.0501)
        beyond_both = 100 * ((energies < low) | (energies > high)).sum() / total
        assert data.values.sum() + beyond_both == pytest.approx(100 * len(energies) / total)
        assert data.values.max() < axes.get_ylim()[1]
    assert training.min() >= low
    assert training.max() <= high
    assert axes.get_legend() is None
    [legend] = axes.figure.legends
    axes.figure.draw_without_rendering()
    peak = max(outline(axes, color).values.max() for color, *_ in sets)
    assert min(text.get_window_extent().y0 for text in axes.texts) > axes.transData.transform((0, peak))[1]
    boxes = {text: text.get_window_extent() for text in legend.get_texts()}
    as_read = sorted(boxes, key=lambda text: (-round(boxes[text].y1, -1), boxes[text].x0))
    labels = ["training set", "generated (29.9% without energy)", "unrelaxed", "random"]
    assert [text.get_text() for text in as_read] == labels


def test_energy_axis_holds_ordinary_data_and_thresholds_near_it_and_obeys_limits():
    training, generated = np.linspace(-0.5, 0, 50), np.linspace(-0.4, 0.6, 50)
    [axes] = energy_figure(generated, training, 50, "J/m^2", (0.0, -0.7, -9.0)).axes
    low, high = axes.get_xlim()
    assert -0.9 < low < -0.7
    assert 0.6 < high < 0.8
    assert not axes.texts
    assert sorted(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2) == [-0.7, 0.0]
    [axes] = energy_figure(generated, training, 50, "J/m^2", limits=(-0.5, 0.5)).axes
    assert axes.get_xlim() == (-0.5, 0.5)
    assert beyond(axes) == {(BLUE, "high"): pytest.approx(100 * (generated > 0.5).mean(), abs=0.05)}


@pytest.mark.parametrize("far", [0.4, 0.6])
def test_energy_axis_follows_the_generated_structures_when_most_lie_far_out(far):
    """As of alloys from a poor generator, whose energies are wide beside those of the training set."""
    training = np.linspace(-5, 5, 200)
    generated = np.append(np.linspace(-5, 5, round(1000 * (1 - far))), np.linspace(40, 80, round(1000 * far)))
    [axes] = energy_figure(generated, training, 1000, "meV/atom", ()).axes
    inside = (generated >= axes.get_xlim()[0]) & (generated <= axes.get_xlim()[1])
    if far > 0.5:
        assert inside.all()
        assert not axes.texts
    else:
        assert axes.get_xlim()[1] < 30
        assert beyond(axes) == {(BLUE, "high"): pytest.approx(40, abs=0.05)}


def test_a_tiny_share_beyond_is_not_rounded_away():
    generated = np.append(np.linspace(0, 1, 9999), 1e6)
    [axes] = energy_figure(generated, None, 10_000, "eV/atom").axes
    assert [text.get_text() for text in axes.texts] == ["<0.1% →"]


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


def test_limits():
    ordinary = np.random.default_rng(0).normal(0, 1, 10_000)
    assert limits_without_outliers(ordinary) == (ordinary.min(), ordinary.max())
    assert limits_without_outliers(np.append(ordinary, [1e9, -30])) == (ordinary.min(), ordinary.max())
    assert limits_without_outliers(np.array([2.0, 2, 2, 2, 9])) == (2, 9)
    assert padded(0, 10) == (-0.5, 10.5)
    low, high = padded(-4.78, -4.78)
    assert low < -4.78 < high
    assert padded(0, 0) == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("J/m^2", "J/m²"),
        ("eV/Angstrom^3", "eV/Å³"),
        ("d_cluster", r"$d_\mathrm{cluster}$"),
        ("percent_with_vacancies", "with vacancies (%)"),
        ("mean_distance", "mean_distance"),
        ("close pairs", "close pairs"),
    ],
)
def test_units_and_metrics_as_they_are_printed(text, printed):
    assert readable(text) == printed
