"""References in the form in which Dismai-Bench publishes them."""

import numpy as np
import pandas
import pytest

from cryingan.errors import CryinGANError
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, SRO_NAMES
from cryingan.metrics.motifs.fingerprints import MotifSettings, feature_names
from tests.support.evaluation import QUIET, alloy, interface, saved, silicon

SI = feature_names(MotifSettings(("Si",)))
IONS = feature_names(MotifSettings(("Li",), None, ("Cl", "O")))


def rewritten(source, target, rename=None, index=False):
    """A table of ours as another program writes it, with an index and other names of columns."""
    target.parent.mkdir(parents=True, exist_ok=True)
    table = pandas.read_csv(source, dtype=str, keep_default_na=False)
    table.rename(columns=rename or {}).to_csv(target, index=index)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """For each benchmark a folder as published, structures to score, and the structures that it was made from."""
    monkeypatch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)

    def make(kind):
        reference, generated = {
            "silicon": lambda: (silicon(5, 0.1, 1), silicon(4, 0.15, 2)),
            "alloy": lambda: (alloy(5, 1, repeats=4), alloy(4, 2, vacancies=1, repeats=4)),
            "interface": lambda: (interface(4, 1), interface(3, 2)),
        }[kind]()
        path = saved(reference, tmp_path / "reference.extxyz")
        made, folder = tmp_path / "made", tmp_path / "train_ref_data"
        evaluate(path, path, kind, output=made, **QUIET)
        names = {
            "silicon": {
                "cnn_stats_Si.csv": "train_motif/cnn_stats_Si_train.csv",
                "rdf_Si-Si.csv": "train_rdf/rdf_Si-Si_train.csv",
                "bond_angle_distribution.csv": "train_bond_angle/bond_angle_distribution_train.csv",
            },
            "alloy": {
                "cluster_prob.csv": "train_cluster_prob.csv",
                "formation_energy.csv": "train_formation_energy.csv",
                "cluster_sro.csv": "train_cluster_sro.csv",
            },
            "interface": {f"cnn_stats_{s}.csv": f"train_motif/cnn_stats_{s}.csv" for s in ("Li", "Co", "Sc")},
        }[kind]
        for source, target in names.items():
            energy = {"formation energy (eV/atom)": "formation_energy_per_atom"}
            rewritten(made / source, folder / target, energy, index=kind != "interface")
        return folder, generated, path

    return make


@pytest.mark.parametrize("kind", ["silicon", "alloy", "interface"])
def test_published_statistics_give_the_values_of_the_structures_behind_them(published, kind):
    folder, generated, path = published(kind)
    found = evaluate(generated, folder, kind, **QUIET)
    expected = evaluate(generated, path, kind, **QUIET)
    for name, value in expected.values.items():
        assert found.values[name].value == pytest.approx(value.value, rel=1e-9, abs=1e-12), name
        assert found.values[name].low == pytest.approx(value.low, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("kind", ["silicon", "alloy", "interface"])
def test_nothing_accepted_beside_published_statistics_is_no_crash(published, kind, tmp_path):
    folder, generated, _ = published(kind)
    for atoms in generated:
        atoms.info.update(converged=False, reason="max_steps")
    path = saved(generated, tmp_path / "broken.extxyz")
    settings = {"region": [0.2, 0.7]} if kind == "interface" else {}
    values = evaluate(path, folder, kind, output=tmp_path / "out", **QUIET, **settings).values
    assert values["percent_failed"].value == 100
    assert {value.reason for name, value in values.items() if name.startswith("d_")} == {"no structure was accepted"}


def test_layouts_are_those_of_the_published_files(published):
    folder, _, _ = published("interface")
    header = (folder / "train_motif/cnn_stats_Li.csv").read_text().splitlines()[0].split(",")
    assert header[:8] == [
        *("structure_number", "atom_number", "most likely CN", "CN likelihood", "Cl count (most likely CN)"),
        *("O count (most likely CN)", "most likely OP", "OP value"),
    ]
    assert tuple(header[8:]) == IONS
    assert len(IONS) == 109
    assert len(SI) == 61
    assert len(CLUSTER_NAMES) == 45
    assert len(SRO_NAMES) == 12


def test_what_is_wrong_with_a_published_table_is_said(published):
    folder, generated, _ = published("silicon")
    motifs = folder / "train_motif/cnn_stats_Si_train.csv"
    angles = folder / "train_bond_angle/bond_angle_distribution_train.csv"
    whole, rows = motifs.read_text(), motifs.read_text().splitlines()

    def refused(said):
        with pytest.raises(CryinGANError, match=said) as caught:
            evaluate(generated, folder, "silicon", **QUIET)
        assert "\n" not in str(caught.value)

    motifs.write_text("\n".join(rows[:-1]) + "\n")
    refused("structure 5 has 7 rows, others 8")
    motifs.write_text(whole.replace("wt CN_3", "weight CN_3"))
    refused("no column 'wt CN_3'")
    motifs.write_text(rows[0] + "\n")
    refused("no rows")
    motifs.write_text("\n".join([rows[0], rows[1].rpartition(",")[0] + ",abc"]) + "\n")
    refused("row 1, column .*: abc is not a finite number")
    motifs.write_text("\n".join([rows[0], rows[1].rpartition(",")[0] + ",nan"]) + "\n")
    refused("nan is not a finite number")
    motifs.write_text("")
    refused("is empty")
    motifs.write_text(whole)
    text = angles.read_text()
    angles.write_text(text.replace("0.75", "0.76", 1))
    refused("360 mid-points 0.25, 0.75 ... 179.75")
    angles.write_text(text)
    (folder / "again").mkdir()
    (folder / "again/rdf_Si-Si_old.csv").write_text("0.01\n1\n")
    refused("should hold one rdf_Si-Si")


def test_another_number_of_atoms_than_the_published_is_refused(published):
    folder, _, _ = published("silicon")
    with pytest.raises(CryinGANError, match="holds Si16, but the reference Si8"):
        evaluate(silicon(2, 0.1, cells=2), folder, "silicon", **QUIET)
    mixed = evaluate([*silicon(2, 0.1), *silicon(1, 0.1, cells=2)], folder, "silicon", **QUIET)
    assert mixed.counts["accepted"] == 2
    np.testing.assert_array_equal([bool(row["reason"]) for row in mixed.rows], [False, False, True])
