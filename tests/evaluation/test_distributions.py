"""Distributions of several evaluations, put together again from their tables."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from pandas import read_csv

from cryingan.errors import CryinGANError
from cryingan.evaluation.comparison import compare, write_comparison
from cryingan.evaluation.distributions import distributions
from cryingan.evaluation.evaluate import evaluate
from cryingan.plots.distributions import distribution_figure
from tests.support.evaluation import QUIET, silicon

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Evaluations of two runs of a rough model and of one of another, with one reference."""
    output = tmp_path_factory.mktemp("silicon")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
        for seed, (name, noise) in enumerate((("a_seed1", 0.3), ("a_seed2", 0.2), ("b", 0.1))):
            evaluate(silicon(2, noise, seed), silicon(2, 0.1, 9), "silicon", output=output / name, **QUIET)
    return {"a": [output / "a_seed1", output / "a_seed2"], "b": [output / "b"]}


def test_curves_and_shares_are_those_of_the_tables(folders):
    radial, turns, motifs = distributions(folders)
    assert [list(one.sets) for one in (radial, turns, motifs)] == [["training set", "a", "b"]] * 3
    first, second, b = (read_csv(one / "avg_rdf_Si_Si.csv") for one in (*folders["a"], *folders["b"]))
    np.testing.assert_array_equal(radial.sets["training set"].value, first["Train set avg rdf"])
    both = np.array([first["Gen set avg rdf"], second["Gen set avg rdf"]])
    np.testing.assert_allclose(radial.sets["a"].value, both.mean(axis=0))
    np.testing.assert_array_equal(radial.sets["a"].high, both.max(axis=0))
    np.testing.assert_array_equal(radial.sets["b"].low, b["Gen set lower bound"])
    shares = read_csv(folders["b"][0] / "most_likely_Si_OP.csv")
    assert motifs.motifs == shares["motif"].tolist()
    np.testing.assert_array_equal(motifs.sets["training set"].value, shares["Train set (%)"])
    np.testing.assert_allclose(motifs.sets["b"].high, shares["Gen set (%)"] + shares["Gen set upper error (%)"])


def test_the_figure_has_a_panel_for_each(folders):
    found = distributions(folders)
    radial, turns, bars = distribution_figure(found).axes
    assert [axis.get_xlabel() for axis in (radial, turns, bars)] == ["r (Å)", "bond angle (°)", "Si atoms (%)"]
    for axis, one in zip((radial, turns), found, strict=False):
        for line, series in zip(axis.lines, one.sets.values(), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), series.value)
    assert radial.lines[0].get_color() == "#000000"
    assert radial.get_ylim()[1] <= 3.16 * found[0].sets["training set"].value.max()
    for container, series in zip(bars.containers, found[2].sets.values(), strict=True):
        assert [bar.get_width() for bar in container] == pytest.approx(series.value.tolist())
    tops = [[bar.get_y() for bar in container] for container in bars.containers]
    assert (np.diff(tops, axis=0) > 0).all(), "sets stand below each other, the reference first"
    assert len({tuple(bar.get_facecolor()) for container in bars.containers for bar in container}) == 3


def test_a_comparison_draws_them_where_all_have_them(folders, tmp_path):
    names = [str(folder) for several in folders.values() for folder in several]
    write_comparison(compare(names), tmp_path / "with")
    assert (tmp_path / "with/distributions.png").is_file()
    assert distributions({"a": folders["a"], "other": [Path(tmp_path)]}) == []


def test_tables_of_other_motifs_or_distances_are_left_out(folders, tmp_path, caplog):
    other = tmp_path / "other"
    shutil.copytree(folders["b"][0], other)
    shares = read_csv(other / "most_likely_Si_OP.csv")
    shares.iloc[::-1].to_csv(other / "most_likely_Si_OP.csv", index=False)
    radial = read_csv(other / "avg_rdf_Si_Si.csv")
    radial.iloc[:-1].to_csv(other / "avg_rdf_Si_Si.csv", index=False)
    [turns] = distributions({**folders, "other": [other]})
    assert turns.xlabel.startswith("bond angle")
    assert "avg_rdf_Si_Si.csv is not drawn" in caplog.text
    assert "most_likely_Si_OP.csv is not drawn" in caplog.text
    (other / "avg_rdf_Si_Si.csv").write_text("")
    with pytest.raises(CryinGANError, match="is empty"):
        distributions({**folders, "other": [other]})
