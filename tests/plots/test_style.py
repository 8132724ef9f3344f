"""What holds for every figure: all of it is on the canvas, readable, in one style, and written whole."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from cryingan.errors import CryinGANError
from cryingan.plots.comparison import comparison_figure
from cryingan.plots.curves import curve_figure, parameter_figure
from cryingan.plots.energies import energy_figure
from cryingan.plots.limits import limits_without_outliers, padded
from cryingan.plots.motifs import motif_figure, motif_neighbor_figure
from cryingan.plots.parity import Parity, parity_figure
from cryingan.plots.series import Series, looks_of
from cryingan.plots.style import PAGE_WIDTH, readable, save_figure
from cryingan.plots.violins import sro_figure

pytestmark = pytest.mark.filterwarnings("error")

RANDOM = np.random.default_rng(3)
LONG = "DiffCSP with lattice denoising and teacher forcing of the first 150 epochs"
MOTIFS = ["rectangular see-saw-like CN_4", "trigonal non-coplanar CN_3", "sgl_bd CN_1", "None CN_13", "octahedral CN_6"]
LAMBDAS = np.array([0, 0.001, 0.01, 0.1, 1])


def energies():
    training, generated = RANDOM.normal(-0.35, 0.1, 500), RANDOM.normal(-0.1, 0.4, 300)
    others = {"unrelaxed": generated + 1, "random": RANDOM.normal(3, 1, 200)}
    return energy_figure(generated, training, 400, "J/m^2", (0, -0.2), **others, quantity="interface energy")


def sro(species, n_training, n_generated):
    pairs = [f"{a}-{b}" for i, a in enumerate(species) for b in species[i:]]
    return sro_figure(
        RANDOM.normal(0, 1, (n_training, 2, len(pairs))), RANDOM.normal(0, 1, (n_generated, 2, len(pairs))), pairs
    )


def motifs(n):
    names = (MOTIFS * n)[:n]
    training, generated = 100 * RANDOM.dirichlet(np.ones(n), 2)
    return motif_figure(names, training, generated, generated * 0.8, generated * 1.2, species="Li")


def neighbors(n, numbers):
    training, generated = 100 * RANDOM.dirichlet(np.ones(n * numbers), 2).reshape(2, n, numbers)
    return motif_neighbor_figure((MOTIFS * n)[:n], training, generated, species="Li")


def curve(points=500, height=3.0):
    x = np.linspace(0.01, 9.99, points)
    value = height * np.exp(-((x - 2.4) ** 2)) + 1
    return Series(x, value, value * 0.9, value * 1.1)


def curves(pairs, labels, **options):
    panels = {pair: {label: curve(height=1 + i) for i, label in enumerate(labels)} for pair in pairs}
    return curve_figure(panels, "r (Å)", "g(r)", **options)


def parameters(labels, x=LAMBDAS, quantities=("d_all",), **options):
    def series(i):
        value = (1 + i) * np.exp(-np.arange(len(x)))
        return Series(x, value, value * 0.5, value * 2)

    panels = {quantity: {label: series(i) for i, label in enumerate(labels)} for quantity in quantities}
    return parameter_figure(panels, "λ", **options)


def comparison(models, metrics):
    return comparison_figure(models, {metric: RANDOM.random((3, len(models))) for metric in metrics})


def parity(n, names):
    x = RANDOM.normal(0, 1, n)
    return parity_figure({name: Parity(x, x + 0.1, "eV/Angstrom", 0.1, "eV/Angstrom", 0.99) for name in names})


def nan(*shape):
    return np.full(shape, np.nan)


FIGURES = {
    "energies": energies,
    "energies: one": lambda: energy_figure(np.array([-4.78]), None, 1, "eV/atom"),
    "energies: none": lambda: energy_figure(np.array([]), None, 20, "eV/atom", (0.0, -0.2)),
    "energies: nothing generated": lambda: energy_figure(np.array([]), None, 0, "eV/atom", ()),
    "energies: NaN": lambda: energy_figure(nan(5), nan(5), 5, "eV/atom"),
    "energies: far off": lambda: energy_figure(np.array([1e9, np.inf, -1e9]), np.array([0.0, 0.1]), 3, "J/m^2"),
    "energies: all equal": lambda: energy_figure(np.zeros(9), np.zeros(9), 9, "J/m^2"),
    "sro": lambda: sro(("Cr", "Fe", "Ni"), 300, 200),
    "sro: one structure": lambda: sro(("Cr", "Fe", "Ni"), 1, 1),
    "sro: no structure": lambda: sro(("Cr", "Fe", "Ni"), 20, 0),
    "sro: 4 species": lambda: sro(("Cr", "Fe", "Ni", "Mn"), 20, 10),
    "sro: 10 species": lambda: sro(("Li", "Sc", "Co", "O", "Cl", "Mg", "Ni", "Fe", "Cr", "Zr"), 12, 2),
    "sro: NaN": lambda: sro_figure(nan(5, 2, 1), nan(4, 2, 1), ["Cr-Cr"]),
    "motifs": lambda: motifs(8),
    "motifs: one": lambda: motif_figure(["tetrahedral CN_4"], np.array([100.0]), np.array([100.0])),
    "motifs: 40": lambda: motifs(40),
    "motifs: NaN": lambda: motif_figure(MOTIFS, np.arange(5.0), nan(5), nan(5), nan(5)),
    "neighbours": lambda: neighbors(8, 7),
    "neighbours: 40": lambda: neighbors(40, 9),
    "neighbours: NaN": lambda: motif_neighbor_figure(MOTIFS, np.ones((5, 3)), nan(5, 3)),
    "curve": lambda: curves(["Si-Si"], ["training set", "generated"]),
    "curves: 4": lambda: curves(["Li-O", "Li-Cl", "Co-O", "Sc-Cl"], ["training set", "generated"]),
    "curves: 5 free": lambda: curves("abcde", ["training set", LONG], share_y=False),
    "curves: 8 models": lambda: curves(["Si-Si"], [f"{LONG} {i}" for i in range(8)]),
    "curves: NaN": lambda: curve_figure({"Si-Si": {"a": Series(np.arange(9.0), nan(9), nan(9), nan(9))}}, "r", "g"),
    "parameter": lambda: parameters(["avg", "max"], log_x=True),
    "parameter: logarithmic": lambda: parameters(["a", "b"], LAMBDAS[1:], ("d_Li", "d_Co"), log_x=True, log_y=True),
    "parameter: one value": lambda: parameters(["a"], LAMBDAS[:1], log_x=True, log_y=True),
    "parameter: 10 models": lambda: parameters([f"model {i}" for i in range(10)], quantities=(LONG,)),
    "parameter: 1000 epochs": lambda: parameters(["a", "b"], np.arange(1000), ("fraction", "score difference")),
    "parameter: NaN": lambda: parameter_figure({"d_all": {"a": Series(LAMBDAS, nan(5), nan(5), nan(5))}}, "λ"),
    "comparison": lambda: comparison(["CDVAE", "DiffCSP", LONG], ["d_Li", "d_Co", "d_Sc", "d_all", "percent_failed"]),
    "comparison: one": lambda: comparison(["CDVAE"], ["d_cluster"]),
    "comparison: 12 models": lambda: comparison([f"{LONG} {i}" for i in range(12)], ["d_motif", "d_rdf"]),
    "comparison: 7 metrics": lambda: comparison(["a", "b"], [f"metric {i}" for i in range(7)]),
    "comparison: NaN": lambda: comparison_figure(["CDVAE"], {"percent_with_vacancies": nan(3, 1)}),
    "parity": lambda: parity(5000, ["energy"]),
    "parity: 2": lambda: parity(50, ["energy", "force"]),
    "parity: 3": lambda: parity(1, ["energy", "force", "stress"]),
    "parity: NaN": lambda: parity_figure({"energy": Parity(nan(3), nan(3), "eV", np.nan, "eV", np.nan)}),
}


def drawn_texts(figure):
    """All texts that can be seen, with their extents."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    texts += [label for label in (figure._supxlabel, figure._supylabel) if label]
    for axes in figure.axes:
        if not axes.axison:
            continue
        texts += [*axes.texts, axes.title, axes._left_title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            texts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
            texts += [axis.label, axis.offsetText]
    texts = [text for text in dict.fromkeys(texts) if text.get_visible() and text.get_text()]
    return {text: text.get_window_extent() for text in texts}


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    seed(3)


def seed(number):
    RANDOM.bit_generator.state = np.random.default_rng(number).bit_generator.state


@pytest.mark.parametrize("name", FIGURES)
def test_everything_is_on_the_canvas_and_no_text_on_another(name):
    require_readable(FIGURES[name](), name)


@pytest.mark.parametrize("n", [1, 50])
@pytest.mark.parametrize("names", [["energy"], ["energy", "force"], ["energy", "force", "stress"]], ids=len)
def test_ticks_of_square_panels_are_readable_for_any_numbers(names, n):
    for number in range(8):
        seed(number)
        require_readable(parity(n, names))


def require_readable(figure, name=""):
    width, height = figure.get_size_inches()
    assert width <= PAGE_WIDTH
    assert height < 10 or "12 models" in name
    figure.set_dpi(300)  # as it is written
    figure.draw_without_rendering()
    tight = figure.get_tightbbox()
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= width + 0.01
    assert tight.y1 <= height + 0.01
    texts = drawn_texts(figure)
    assert len(texts) >= 4
    assert {text.get_fontsize() for text in texts} == {8}
    boxes = list(texts.items())
    for i, (text, box) in enumerate(boxes):
        for other, its in boxes[:i]:
            across = min(box.x1, its.x1) - max(box.x0, its.x0)
            along = min(box.y1, its.y1) - max(box.y0, its.y0)
            assert across < 2 or along < 2, (text.get_text(), other.get_text())


@pytest.mark.parametrize("name", ["energies", "neighbours", "curve", "parameter", "comparison"])
def test_figures_neither_use_nor_change_global_settings(name, tmp_path):
    def content():
        seed(3)
        save_figure(FIGURES[name](), tmp_path / "figure.png", vector="svg")
        return (tmp_path / "figure.png").read_bytes(), (tmp_path / "figure.svg").read_bytes()

    expected = content()
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "legend.frameon": True, "axes.linewidth": 3}):
        settings = dict(matplotlib.rcParams)
        assert content() == expected
        assert dict(matplotlib.rcParams) == settings


def test_importing_and_drawing_need_no_pyplot(tmp_path):
    code = f"""
import importlib, pkgutil, sys
import cryingan.plots
for module in pkgutil.iter_modules(cryingan.plots.__path__, "cryingan.plots."):
    importlib.import_module(module.name)
assert "matplotlib" not in sys.modules
from cryingan.plots.energies import energy_figure
from cryingan.plots.style import save_figure
save_figure(energy_figure([0.1, 0.2], None, 2, "eV/atom"), {str(tmp_path / "a.png")!r}, vector="pdf")
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True)


def test_pixels_and_pages_are_written_whole(tmp_path):
    figure = energies()
    save_figure(figure, tmp_path / "energies.png", vector="pdf")
    image = Image.open(tmp_path / "energies.png")
    image.load()
    assert image.size[0] == 3.4 * 300
    page = (tmp_path / "energies.pdf").read_bytes()
    assert page.startswith(b"%PDF")
    assert page.rstrip().endswith(b"%%EOF")
    assert b"CreationDate" not in page
    assert b"/Subtype /Type3" not in page  # fonts that journals refuse
    assert sorted(path.name for path in tmp_path.iterdir()) == ["energies.pdf", "energies.png"]


def test_what_cannot_be_drawn_or_written_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "energies.png"
    target.write_bytes(b"before")
    figure = energies()
    draw = figure.savefig
    monkeypatch.setattr(figure, "savefig", lambda file, **rest: draw(file, **rest) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_figure(figure, target, vector="pdf")
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(CryinGANError, match=r"nowhere/a\.png cannot be written"):
        save_figure(energies(), tmp_path / "nowhere" / "a.png")


def test_many_series_are_told_apart():
    looks = looks_of([f"model {i}" for i in range(60)])
    assert len(set(looks.values())) == 60
    assert looks_of(["training set", "generated"], reference_first=True)["training set"].color == "#000000"


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
