"""training.png: what was learnt comes first, losses last, and only what was logged has a panel."""

import numpy as np
import pytest

from cryingan.plots.style import save_figure
from cryingan.plots.training import training_figure

OUT_OF_TIME = "relax/out_of_time"
RELAXED = "relax/fraction_below_minus_0_2"


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.csv"

    def write(header, *rows):
        path.write_text("\n".join([f"epoch,{header}", *rows]) + "\n")
        return path

    return write


def lines_of(figure):
    """By title of the panel: its lines, the curve first."""
    return {axes.get_title(): [line.get_xydata().tolist() for line in axes.lines] for axes in figure.axes}


def test_every_curve_that_was_logged_is_drawn(metrics):
    path = metrics("train/wasserstein,samples/close_pairs,alloy/sro_error", "0,5,,", "1,4,30,0.5", "2,3,,", "3,2,0,0.2")
    lines = lines_of(training_figure(path, {"samples/close_pairs": 90.0}))
    assert lines["difference of mean scores"] == [[[1, 5], [2, 4], [3, 3], [4, 2]]]
    curve, random = lines["close pairs per structure"]
    assert curve == [[2, 30], [4, 0]]
    assert [value for _, value in random] == [90, 90]
    assert lines["short-range-order error"] == [[[2, 0.5], [4, 0.2]]]
    assert list(lines) == ["short-range-order error", "close pairs per structure", "difference of mean scores"]


def test_what_is_measured_no_longer_is_left_out(metrics):
    path = metrics("samples/spread,samples/f1,relax/fraction_below_random_10", "0,1,0.2,0.5", "1,2,0.4,0.6")
    lines = lines_of(training_figure(path, {}, training={"samples/f1": 0.9}))
    assert set(lines) == {"F1 of precision and recall", "relaxed below 10 % of random"}
    assert [value for _, value in lines["F1 of precision and recall"][1]] == [0.9, 0.9]
    assert [value for _, value in lines["relaxed below 10 % of random"][1]] == [0.1, 0.1], "by definition"


@pytest.mark.parametrize("key", ["relax/fraction_below_-0.2", RELAXED])  # the first of version 0.1.0
def test_low_energies_come_first_with_their_interval(metrics, key):
    path = metrics(f"train/loss,samples/recall,{key},{key}_low,{key}_high", "0,1,0.3,,,", "1,1,0.4,0.5,0.2,0.8")
    figure = training_figure(path, {RELAXED: 0.1}, training={RELAXED: 0.7}, before={RELAXED: 0.3}, unit="J/m^2")
    first, *_, last = figure.axes
    assert first.get_title() == "relaxed to -0.2 J/m² or below"
    curve, low, high, before, training, random = (line.get_xydata().tolist() for line in first.lines)
    assert curve == [[2, 0.5]]
    assert (low, high) == ([[2, 0.2]], [[2, 0.8]])
    assert before == [[0, 0.3], [2, 0.5]]
    assert [training[0][1], random[0][1]] == [0.7, 0.1]
    assert last.get_title() == "loss of the network"


@pytest.mark.parametrize(("late", "before", "shown"), [("0.5", 0, True), ("0", 0.25, True), ("0", 0, False)])
def test_lack_of_time_stands_beside_low_energies(metrics, late, before, shown):
    path = metrics(f"{RELAXED},{OUT_OF_TIME}", f"1,0.5,{late}")
    [axes] = training_figure(path, {}, before={RELAXED: 0.9, OUT_OF_TIME: before}, unit="J/m^2").axes
    legend = [text.get_text() for text in axes.get_legend().get_texts()] if axes.get_legend() else []
    assert legend == (["-0.2 J/m² or below", "out of time"] if shown else [])


def test_without_relaxation_precision_and_recall_come_first(metrics):
    path = metrics(
        "train/loss,val/loss,samples/close_pairs,samples/recall,samples/precision", "0,1,1,3,0.4,0.5", "1,1,2,3,0.4,0.5"
    )
    figure = training_figure(path, {}, training={"samples/recall": 0.9, "samples/precision": 0.8})
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["samples and training set", "close pairs per structure", "losses"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["precision", "recall"]
    colors = [line.get_color() for line in figure.axes[0].lines]
    assert colors[0] == colors[1] != colors[2] == colors[3], "a curve and its reference"


@pytest.mark.parametrize("others", [0, 5])
def test_the_legend_of_losses_hides_no_loss(metrics, others):
    losses = np.random.default_rng(0).uniform([0, 5], [1, 6], (40, 2))
    named = ("close_pairs", "distance", "f1", "coverage", "precision")
    keys = [f"samples/{name}" for name in named[:others]]
    rows = (",".join(map(str, [epoch, *pair, *[0.5] * others])) for epoch, pair in enumerate(losses))
    figure = training_figure(metrics(",".join(["train/loss", "val/loss", *keys]), *rows), {})
    figure.draw_without_rendering()
    axes = figure.axes[-1]
    box = axes.get_legend().get_window_extent()
    for line in axes.lines:
        assert not box.count_contains(axes.transData.transform(line.get_xydata()))


@pytest.mark.parametrize("panels", range(10))
def test_no_place_is_empty(metrics, panels):
    keys = ["samples/close_pairs", "samples/distance", "samples/f1", "samples/coverage", "relax/distinct_minima"]
    keys += [
        "relax/kolmogorov_smirnov",
        "alloy/sro_error",
        "samples/neighbor_distance_error",
        "samples/recall",
        "train/loss",
    ]
    row = ",".join(["0", *["0.5"] * panels])
    figure = training_figure(metrics(",".join(keys[:panels]), *([row] if panels else [])), {})
    assert len(figure.axes) == max(panels, 1)
    spans = [axes.get_subplotspec() for axes in figure.axes]
    places = sorted((row, column) for span in spans for row in span.rowspan for column in span.colspan)
    grid = spans[0].get_gridspec()
    assert places == [(row, column) for row in range(grid.nrows) for column in range(grid.ncols)]
    assert len(spans[0].colspan) == (1 if panels < 4 else 2 if panels in (5, 8) else 3)
    assert all(axes.get_ylabel() and axes.get_xlabel() for axes in figure.axes[:panels])


def test_values_at_zero_and_large_ones_are_seen(metrics, tmp_path):
    path = metrics("samples/close_pairs,samples/neighbor_distance_error,samples/f1", "0,3000,0,nan", "1,0,0,nan")
    figure = training_figure(path, {})
    assert [axes.get_yscale() for axes in figure.axes] == ["symlog", "linear"], "no panel for what is never a number"
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low < 0 < np.max(axes.lines[0].get_ydata()) < high or low < 0 < high
    save_figure(figure, tmp_path / "training.png")
