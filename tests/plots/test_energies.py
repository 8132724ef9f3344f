"""Distributions of energies show every energy, or how many lie beyond the axis."""

import re

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from cryingan.plots.energies import energy_figure
from cryingan.plots.style import BLACK, BLUE, GREY, ORANGE

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


@pytest.mark.parametrize(("late", "why"), [(3, ", 30.0% out of time)"), (0, ")")])
def test_the_legend_says_what_had_no_time(late, why):
    figure = energy_figure(np.linspace(-1, 0, 6), None, 10, "J/m^2", out_of_time=late)
    labels = [" ".join(text.get_text().split()) for text in figure.legends[0].get_texts()]
    assert labels == [f"generated (40.0% without energy{why}"]


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
