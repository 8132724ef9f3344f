"""Evaluations from files to the folder of results."""

import csv
import errno
import json
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.evaluation import report as evaluation_report
from cryingan.evaluation.benchmarks.alloy import AlloyBenchmark
from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics.alloy.fcc import fcc_sites
from cryingan.metrics.radial import rdf

QUIET = {"progress": False, "processes": 1}


def silicon(structures, noise, seed=0, cells=1):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(structures):
        atoms = bulk("Si", cubic=True) * (1, 1, cells)
        atoms.positions += rng.normal(0, noise, atoms.positions.shape)
        made.append(atoms)
    return made


def alloy(structures, seed=0, vacancies=0, repeats=2):
    rng = np.random.default_rng(seed)
    sites, edge = fcc_sites(repeats), 3.6 * repeats
    kinds = np.repeat(["Cr", "Fe", "Ni"], np.array([7, 19, 6]) * len(sites) // 32)
    made = []
    for _ in range(structures):
        chosen = rng.permutation(len(sites))[vacancies:]
        positions = sites[chosen] * edge + rng.normal(0, 0.05, (len(chosen), 3))
        made.append(Atoms(rng.permutation(kinds)[vacancies:], positions=positions, cell=np.eye(3) * edge, pbc=True))
    return made


def interface(structures, seed=0, shift=0.0):
    """Rock salt with Li, Sc and Co, Cl below O."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(structures):
        atoms = bulk("LiCl", "rocksalt", a=4.8, cubic=True) * (2, 1, 2)
        symbols = np.array(atoms.get_chemical_symbols())
        high = atoms.get_scaled_positions()[:, 2] > 0.45
        symbols[(symbols == "Cl") & high] = "O"
        cations = np.flatnonzero(symbols == "Li")
        symbols[rng.permutation(cations)[:4]] = ["Sc", "Sc", "Co", "Co"]
        atoms.symbols[:] = symbols
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape) + shift
        made.append(atoms)
    return made


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(path):
    return np.array([[float(value) for value in row.values()] for row in table(path)])


def saved(atoms, path):
    write(path, atoms, format="extxyz")
    return path


SETS = {"silicon": (silicon, 0.1), "alloy": (alloy,), "interface": (interface,)}


def sets(kind, structures, seed):
    make, *arguments = SETS[kind]
    return make(structures, *arguments, seed=seed)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures take most of the time; most tests look at numbers."""
    monkeypatch.setattr("cryingan.plots.save_figure", lambda *arguments, **settings: None)


@pytest.mark.parametrize("kind", SETS)
def test_a_set_compared_with_itself_has_no_distance(kind):
    structures = sets(kind, 4, 0)
    result = evaluate(structures, structures, kind, **QUIET)
    distances = {name: value.value for name, value in result.values.items() if name.startswith("d_")}
    assert distances
    assert all(value == pytest.approx(0, abs=1e-12) for value in distances.values()), distances
    assert result.values["percent_failed"].value == 0
    assert result.counts == {"original": 4, "read": 4, "accepted": 4, "failed": 0}


@pytest.mark.parametrize("kind", SETS)
def test_values_do_not_depend_on_order_of_atoms_or_structures_translation_or_images(kind):
    reference, structures = sets(kind, 4, 1), sets(kind, 3, 2)
    changed = []
    rng = np.random.default_rng(3)
    for atoms in structures[::-1]:
        other = atoms[rng.permutation(len(atoms))]
        other.positions += [0.3, -0.2, 0.7] if kind != "alloy" else 0
        other.positions += rng.integers(-2, 3, other.positions.shape) @ other.cell.array
        changed.append(other)
    first, second = (evaluate(some, reference, kind, **QUIET).values for some in (structures, changed))
    assert {name: value.value for name, value in second.items()} == pytest.approx(
        {name: value.value for name, value in first.items()}, rel=1e-6, abs=1e-7
    )


def test_the_folder_of_an_alloy(tmp_path):
    structures, reference = alloy(5, 1) + alloy(3, 2, vacancies=2), alloy(6, 3)
    structures[1].info["sample"] = 41
    paths = saved(structures, tmp_path / "generated.extxyz"), saved(reference, tmp_path / "reference.extxyz")
    result = evaluate(*paths, "alloy", output=tmp_path / "out", original=16, **QUIET)
    content = json.loads((tmp_path / "out/metrics.json").read_text())
    assert content["counts"] == {"original": 16, "read": 8, "accepted": 8, "failed": 8}
    assert content["failures"] == {"not in the file": 8}
    assert content["percent_failed"]["value"] == 50
    assert content["percent_with_vacancies"]["value"] == pytest.approx(37.5)
    assert set(content["provenance"]["versions"]) == {"cryingan", "pymatgen", "numpy", "scipy"}
    assert content["provenance"]["settings"]["mapping"] == "auto"
    rows = table(tmp_path / "out/structures.csv")
    assert [row["sample"] for row in rows] == ["", "41", *[""] * 6]
    assert [row["vacancies"] for row in rows] == ["0"] * 5 + ["2"] * 3
    assert {"formation_energy", "sro_1_Cr-Fe", "sro_2_Ni-Ni"} <= rows[0].keys()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"cluster_prob.csv", "cluster_sro.csv", "sro.png", "sro.pdf", "energies.png"} <= names
    evaluate(paths[1], paths[1], "alloy", output=tmp_path / "self", **QUIET)
    probabilities = [numbers(tmp_path / name / "cluster_prob.csv") for name in ("out", "self")]
    expected = np.linalg.norm(probabilities[0].mean(axis=0) - probabilities[1].mean(axis=0))
    assert content["d_cluster"]["value"] == pytest.approx(expected, rel=1e-12)
    assert result.values["d_cluster"].value == content["d_cluster"]["value"]
    assert content["d_cluster"]["low"] < content["d_cluster"]["high"]


def test_the_histogram_of_the_formation_energies_of_an_alloy():
    structures, reference = [*alloy(40, 1), *alloy(5, 3, vacancies=4)], alloy(30, 2)
    result = evaluate(structures, reference, "alloy", **QUIET)
    energies = np.array([row["formation_energy"] for row in result.rows])
    expected = np.array([row["formation_energy"] for row in evaluate(reference, reference, "alloy", **QUIET).rows])
    values = (energies - expected.mean()) * 1000
    low, high, shares = map(np.array, result.scores.tables["energy_histogram.csv"].values())
    np.testing.assert_allclose(low[1:], np.arange(41) * 0.5 - 5, atol=1e-12)
    np.testing.assert_array_equal(high[:-1], low[1:])
    assert shares[0] > 0
    assert shares[-1] > 0
    inside = (values[:, None] > low) & (values[:, None] <= high)
    np.testing.assert_allclose(shares, 100 * inside.mean(axis=0))


def test_structures_that_fail_are_named_and_touch_no_other(tmp_path):
    good = silicon(3, 0.1)
    other = [silicon(1, 0.1, cells=2)[0], bulk("Ge", cubic=True), good[0].copy()]
    other[2].positions[1] = other[2].positions[0]  # coincident
    bad = good[0].copy()
    bad.pbc = False
    mixed = [good[0], other[0], good[1], other[1], other[2], bad, good[2]]
    result = evaluate(mixed, silicon(4, 0.1, 1), "silicon", **QUIET)
    reasons = {row["number"]: row["reason"] for row in result.rows if row["reason"]}
    assert set(reasons) == {2, 4, 5, 6}
    assert "composition" in reasons[2]
    assert "composition" in reasons[4]
    assert "pbc" in reasons[6]
    assert result.counts["accepted"] == 3
    assert sum(result.failures.values()) == 4
    clean = evaluate(good, silicon(4, 0.1, 1), "silicon", **QUIET)
    for name in ("d_motif", "d_rdf", "d_angle"):
        assert result.values[name].value == clean.values[name].value
        assert result.values[name].low == clean.values[name].low
    assert result.values["percent_failed"].value == pytest.approx(400 / 7)


@pytest.mark.parametrize("kind", SETS)
def test_structures_of_other_elements_stop_nothing_while_one_can_be_compared(kind):
    good, reference, odd = sets(kind, 1, 1), sets(kind, 2, 2), bulk("Ge", cubic=True)
    for structures in ([odd, *good], [odd, odd, *good], [*good, odd]):
        result = evaluate(structures, reference, kind, **QUIET)
        assert result.counts["accepted"] == 1
        assert result.failures == {"composition differs from the reference's": len(structures) - 1}
    with pytest.raises(CryinGANError, match="Ge"):
        evaluate([odd], reference, kind, **QUIET)


@pytest.mark.parametrize("kind", SETS)
def test_nothing_accepted_is_no_crash(kind, tmp_path):
    broken = sets(kind, 2, 0)
    for atoms in broken:
        atoms.info.update(converged=False, reason="max_steps")
    saved(broken, tmp_path / "broken.extxyz")
    settings = {"region": [0.2, 0.7], "species": ["Li"]} if kind == "interface" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluate(
            tmp_path / "broken.extxyz", sets(kind, 3, 1), kind, output=tmp_path / "out", **QUIET, **settings
        )
    assert result.failures == {"not relaxed: max_steps": 2}
    content = json.loads((tmp_path / "out/metrics.json").read_text())
    distances = [value for name, value in content.items() if name.startswith("d_")]
    assert distances
    assert all(value["value"] is None and value["reason"] == "no structure was accepted" for value in distances)
    assert content["percent_failed"]["value"] == 100


def test_a_species_that_is_missing_and_an_isolated_atom():
    structures = interface(3)
    for atoms in structures:
        atoms.symbols[atoms.symbols == "Co"] = "Li"
    result = evaluate(structures, structures, "interface", **QUIET)
    assert np.isnan(result.values["d_Co"].value)
    assert "Co" in result.values["d_Co"].reason
    assert result.values["d_Li"].value == 0
    assert result.values["d_all"].value == 0
    far = Atoms("Si", positions=[[0, 0, 0]], cell=np.eye(3) * 30, pbc=True)
    lonely = evaluate([far], [far], "silicon", **QUIET)
    assert lonely.values["d_motif"].value == 0
    assert lonely.values["d_angle"].value == 0


def test_radial_distributions_are_of_all_pairs():
    structures = interface(2)
    tables = evaluate(structures, structures, "interface", **QUIET).scores.tables
    order = ["Li", "Co", "Sc", "Cl", "O"]
    names = {f"avg_rdf_{a}_{b}.csv" for i, a in enumerate(order) for b in order[i:]}
    assert {name for name in tables if name.startswith("avg_rdf_")} == names
    for pair in (("Cl", "O"), ("O", "O")):
        expected = np.mean([rdf(atoms, pair) for atoms in structures], axis=0)
        curves = list(tables[f"avg_rdf_{'_'.join(pair)}.csv"].values())
        assert any(np.allclose(column, expected, rtol=1e-12) for column in curves[1:])


def test_the_region_counts_only_the_atoms_in_it():
    reference, structures = interface(4, 0), interface(4, 1)
    whole = evaluate(structures, reference, "interface", region=[-0.5, 0.5], **QUIET)
    part = evaluate(structures, reference, "interface", region=[0.2, 0.7], **QUIET)
    for name in ("d_Li", "d_Sc", "d_Co", "d_all"):
        assert whole.values[f"{name}_region"].value == pytest.approx(whole.values[name].value, rel=1e-12)
        assert part.values[name].value == whole.values[name].value
    assert part.values["d_Li_region"].value != whole.values["d_Li_region"].value


def test_a_killed_evaluation_goes_on_and_ends_the_same(tmp_path, monkeypatch, undrawn):
    structures = saved(silicon(8, 0.1, 1), tmp_path / "generated.extxyz")
    reference = saved(silicon(6, 0.1, 2), tmp_path / "reference.extxyz")
    evaluate(structures, reference, "silicon", output=tmp_path / "whole", **QUIET)
    describe, calls = SiliconBenchmark.describe, []

    def dying(self, atoms):
        calls.append(1)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return describe(self, atoms)

    monkeypatch.setattr(SiliconBenchmark, "describe", dying)
    for _ in range(7):
        with pytest.raises(KeyboardInterrupt):
            evaluate(structures, reference, "silicon", output=tmp_path / "killed", **QUIET)
        assert not (tmp_path / "killed/metrics.json").exists()
    evaluate(structures, reference, "silicon", output=tmp_path / "killed", **QUIET)
    assert len(calls) == 8 + 7  # the reference is cached, each structure is described once, each kill loses one
    texts = [(tmp_path / name / "metrics.json").read_text() for name in ("whole", "killed")]
    assert texts[0] == texts[1]
    tables = [(tmp_path / name / "structures.csv").read_text() for name in ("whole", "killed")]
    assert tables[0] == tables[1]


def test_the_reference_is_described_once_for_each_content_and_setting(tmp_path, monkeypatch):
    reference = saved(alloy(3, 1), tmp_path / "reference.extxyz")
    describe, calls = AlloyBenchmark.describe, []
    monkeypatch.setattr(AlloyBenchmark, "describe", lambda self, atoms: calls.append(1) or describe(self, atoms))
    for _ in range(2):
        evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 3 + 1 + 1
    evaluate(alloy(1), reference, "alloy", mapping="diffcsp", **QUIET)
    assert len(calls) == 5 + 4
    evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 9 + 1
    saved(alloy(3, 2), reference)
    evaluate(alloy(1), reference, "alloy", **QUIET)
    assert len(calls) == 10 + 4
    assert {path.name[:1] for path in tmp_path.iterdir() if path != reference} == {"."}


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, undrawn):
    structures = alloy(2)
    evaluate(structures, alloy(3, 1), "alloy", output=tmp_path / "out", **QUIET)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def full(table, path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(evaluation_report, "write_table", full)
    with pytest.raises(CryinGANError, match="No space left"):
        evaluate(structures, alloy(3, 1), "alloy", output=tmp_path / "out", original=9, **QUIET)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_bad_input_is_refused_in_one_line(tmp_path):
    reference = alloy(2)
    cases = [
        ((tmp_path / "no.extxyz", reference, "alloy"), {}, r"no\.extxyz"),
        ((alloy(1), tmp_path / "no.extxyz", "alloy"), {}, r"no\.extxyz"),
        ((silicon(1, 0), reference, "alloy"), {}, "holds Si"),
        ((alloy(1), silicon(1, 0), "alloy"), {}, "holds Si"),
        ((alloy(1), reference, "silicon"), {}, "of Si alone"),
        ((silicon(2, 0), silicon(2, 0, cells=2), "silicon"), {}, "holds Si8, but the reference Si16"),
        ((alloy(2), reference, "alloy"), {"original": 1}, "original=1"),
        ((alloy(2), reference, "alloy"), {"mapping": "best"}, "mapping=best"),
        ((alloy(2), reference, "steel"), {}, "interface, silicon, alloy"),
        ((alloy(2), reference, "alloy"), {"maping": "auto"}, "maping"),
        ((alloy(2), alloy(2, vacancies=3), "alloy"), {}, "does not fill"),
        ((silicon(1, 0), silicon(1, 0), "interface"), {}, "none of benchmark.species"),
        ((interface(1), interface(1), "interface"), {"region": [0.5]}, "region"),
        ((interface(1), interface(1), "interface"), {"region": [0.5, 0.5]}, "region"),
        ((interface(1), interface(1), "interface"), {"oxidation_states": {"Li": 1, "Cl": -1}}, "charge"),
        ((interface(1), tmp_path, "interface"), {}, "should hold one"),
    ]
    for arguments, settings, said in cases:
        with pytest.raises(CryinGANError, match=said) as caught:
            evaluate(*arguments, **QUIET, **settings)
        assert "\n" not in str(caught.value)


def test_a_folder_of_another_evaluation_is_refused(tmp_path, undrawn):
    evaluate(alloy(2), alloy(2, 1), "alloy", output=tmp_path / "out", **QUIET)
    for structures, reference, settings in (
        (alloy(2, 5), alloy(2, 1), {}),
        (alloy(2), alloy(2, 6), {}),
        (alloy(2), alloy(2, 1), {"mapping": "diffcsp"}),
    ):
        with pytest.raises(OtherResultsError, match="another output"):
            evaluate(structures, reference, "alloy", output=tmp_path / "out", **settings, **QUIET)


def test_relaxed_samples_bring_their_number_reasons_and_energies(tmp_path, undrawn):
    structures = silicon(3, 0.1)
    for sample, converged in zip((0, 2, 3), (True, False, True), strict=True):
        info = {"sample": sample, "converged": converged, "reason": "converged" if converged else "max_steps"}
        structures[[0, 2, 3].index(sample)].info.update(info)
    saved(structures, tmp_path / "relaxed.extxyz")
    (tmp_path / "energies.csv").write_text(
        "sample,close_pairs,energy_per_atom_initial,energy_per_atom,energy,unit,steps,fmax,converged,reason,potential\n"
        "0,0,-4.0,-4.5,0.010,eV/atom,10,0.01,True,converged,p\n"
        "1,9,,,,,,,False,not_repaired,\n"
        "2,0,-4.0,-4.2,,eV/atom,1000,1.0,False,max_steps,p\n"
        "3,0,-4.1,-4.4,0.250,eV/atom,30,0.01,True,converged,p\n"
    )
    summary = {"values": {"relax/fraction_below_0": 0.25, "relax/steps": 3}, "zero_ev_per_atom": -4.51}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    result = evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", output=tmp_path / "out", **QUIET)
    assert result.counts == {"original": 4, "read": 3, "accepted": 2, "failed": 2}
    assert result.failures == {"not relaxed: max_steps": 1, "not repaired": 1}
    with pytest.raises(CryinGANError, match="original=3: at least 4"):
        evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", original=3, **QUIET)
    rows = table(tmp_path / "out/structures.csv")
    assert [row["sample"] for row in rows] == ["0", "2", "3", "1"]
    assert rows[2]["energy"] == "0.25"
    content = json.loads((tmp_path / "out/metrics.json").read_text())["relaxation"]
    assert content["steps"]["value"] == 20
    assert content["steps"]["deviation"] == 10
    assert content["energy_drop_meV_per_atom"]["value"] == pytest.approx(400)
    assert content["fraction_below_0"] == 0.25
    assert content["percent_above_histogram"] == 50  # 250 meV/atom is beyond 100
    histogram = numbers(tmp_path / "out/energy_histogram.csv")
    assert histogram[:, 2].sum() == pytest.approx(100)
    assert histogram[-1, 2] == 50
    for zero in ({"zero_ev_per_atom": 0.0}, {}):  # of absolute energies all would lie far below
        (tmp_path / "summary.json").write_text(json.dumps({"values": {}} | zero))
        absolute = evaluate(tmp_path / "relaxed.extxyz", silicon(2, 0.1, 1), "silicon", **QUIET)
        assert "training=FILE" in absolute.relaxation["no_histogram"]
        assert "percent_below_histogram" not in absolute.relaxation
        assert "energy_histogram.csv" not in absolute.scores.tables
        assert absolute.relaxation["steps"]["value"] == 20


def test_sample_numbers_of_other_programs_are_none_of_ours(tmp_path, undrawn):
    structures = alloy(4)
    for atoms, sample in zip(structures, ("a1", 1.5, np.array([1, 2, 3]), 2), strict=True):
        atoms.info["sample"] = sample
    path = saved(structures, tmp_path / "others.extxyz")
    result = evaluate(path, alloy(2, 1), "alloy", output=tmp_path / "out", **QUIET)
    assert [row["sample"] for row in result.rows] == ["", "", "", 2]
    assert result.counts["accepted"] == 4


def test_one_sample_cannot_be_two_structures(tmp_path):
    structures = alloy(3)
    for atoms, sample in zip(structures, (7, 2, 7), strict=True):
        atoms.info["sample"] = sample
    for source in (structures, saved(structures, tmp_path / "twice.extxyz")):
        with pytest.raises(CryinGANError, match="structures 1 and 3 both have sample=7"):
            evaluate(source, alloy(2, 1), "alloy", **QUIET)


def test_samples_know_how_many_were_generated(tmp_path):
    saved(alloy(3), tmp_path / "samples.extxyz")
    (tmp_path / "manifest.json").write_text(json.dumps({"structures": "samples.extxyz", "n": 5}))
    result = evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", **QUIET)
    assert result.counts["original"] == 5
    assert [row["sample"] for row in result.rows] == [0, 1, 2]
    with pytest.raises(CryinGANError, match="original=4: at least 5"):
        evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", original=4, **QUIET)
    more = evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", original=9, **QUIET)
    assert more.failures == {"not in the file": 6}
    saved(alloy(3), tmp_path / "others.extxyz")
    assert evaluate(tmp_path / "others.extxyz", alloy(2, 1), "alloy", **QUIET).counts["original"] == 3
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CryinGANError, match=r"manifest\.json"):
        evaluate(tmp_path / "samples.extxyz", alloy(2, 1), "alloy", **QUIET)


def test_broken_structures_of_a_reference_are_left_out_and_named(caplog):
    reference = silicon(3, 0.1)
    reference.insert(1, silicon(1, 0.1, cells=2)[0])
    result = evaluate(silicon(2, 0.1, 5), reference, "silicon", **QUIET)
    assert result.provenance["reference"]["structures"] == 3
    assert "structure 2" in caplog.text


def test_the_published_way_of_computing_is_passed_through():
    structures, reference = silicon(3, 0.1, 1), silicon(3, 0.2, 2)
    right, published = (evaluate(structures, reference, "silicon", compatible=c, **QUIET) for c in (False, True))
    assert published.provenance["settings"]["compatible"]
    # In this small cell the published g(r) ends at the nearest image, long before 10 Angstrom.
    assert published.values["d_rdf"].value < right.values["d_rdf"].value
    assert published.values["d_angle"].value == right.values["d_angle"].value


def test_what_is_refused_claims_no_folder(tmp_path):
    """An evaluation of the mended file in the same folder is not one of other structures."""
    structures, output = tmp_path / "structures.extxyz", tmp_path / "output"
    structures.write_text("")
    with pytest.raises(CryinGANError, match=r"structures\.extxyz holds no structures; original=N"):
        evaluate(structures, silicon(2, 0.1), "silicon", output=output, **QUIET)
    write(structures, silicon(2, 0.1, seed=1))
    with pytest.raises(CryinGANError, match="original=1"):
        evaluate(structures, silicon(2, 0.1), "silicon", output=output, original=1, **QUIET)
    assert not list(output.glob("descriptors*"))
    assert evaluate(structures, silicon(2, 0.1), "silicon", output=output, **QUIET).values["d_rdf"].value > 0
