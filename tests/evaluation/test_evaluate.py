"""Evaluations from structures to scores."""

import json
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.evaluation.benchmarks.alloy import AlloyBenchmark
from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.evaluation.report import summary_lines
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from tests.support.evaluation import QUIET, SETS, alloy, interface, saved, sets, silicon


@pytest.mark.parametrize("kind", SETS)
def test_a_set_compared_with_itself_has_no_distance(kind):
    structures = sets(kind, 4, 0)
    result = evaluate(structures, structures, kind, **QUIET)
    distances = {name: value.value for name, value in result.values.items() if name.startswith("d_")}
    assert distances
    assert all(value == pytest.approx(0, abs=1e-12) for value in distances.values()), distances
    assert result.values["percent_failed"].value == 0
    assert result.counts == {"original": 4, "read": 4, "accepted": 4, "failed": 0}


def test_crystals_lists_and_files_have_the_same_scores(tmp_path):
    sides = silicon(3, 0.1, 1), silicon(4, 0.1, 2)
    crystals = [Crystals.from_ase(side) for side in sides]
    files = [saved(side, tmp_path / f"{len(side)}.extxyz") for side in sides]
    expected = {name: value.value for name, value in evaluate(*sides, "silicon", **QUIET).values.items()}
    for other in (crystals, files, (crystals[0], files[1])):
        values = {name: value.value for name, value in evaluate(*other, "silicon", **QUIET).values.items()}
        assert values == pytest.approx(expected, rel=1e-5, abs=1e-6)


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


def test_the_first_failure_of_a_kind_is_printed_with_its_numbers(tmp_path):
    path = tmp_path / "cut.extxyz"
    write(path, silicon(3, 0.1))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-3]))
    result = evaluate(path, silicon(4, 0.1, 1), "silicon", **QUIET)
    assert "  1 failed: ends early: 8 atoms promised, 5 found (structure 3)" in list(summary_lines(result))
    write_structures(Crystals.from_ase(silicon(4, 0.1)), folder := tmp_path / "set", "poscar")
    for name in ("0002.vasp", "0004.vasp"):
        (folder / name).write_text("".join((folder / name).read_text().splitlines(keepends=True)[:-3]))
    result = evaluate(folder, silicon(4, 0.1, 1), "silicon", **QUIET)
    assert "  2 failed: ends early: 8 atoms promised, 5 found (the first: 0002.vasp)" in list(summary_lines(result))


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


def test_another_composition_is_refused_before_anything_is_described(monkeypatch):
    monkeypatch.setattr("cryingan.evaluation.reference.describe_all", lambda *_: pytest.fail("described"))
    with pytest.raises(CryinGANError, match="3 structures in memory holds Si8, but the reference Si16"):
        evaluate(silicon(3, 0), silicon(2, 0, cells=2), "silicon", **QUIET)


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
        ((alloy(2), reference, AlloyBenchmark()), {"mapping": "auto"}, r"AlloyBenchmark\(mapping=\.\.\.\)"),
        ((alloy(2), alloy(2, vacancies=3), "alloy"), {}, "does not fill"),
        ((silicon(1, 0), silicon(1, 0), "interface"), {}, "holds Si8, without cations or anions"),
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
