"""The scores of interfaces, put together again from what each structure gives."""

import numpy as np
import pytest

from cryingan.evaluation.benchmarks.interface import InterfaceBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.evaluation.settings import InterfaceSettings
from cryingan.metrics import radial
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES, MotifSettings, fingerprints, most_likely
from tests.evaluation.benchmarks.resampling import (
    broken,
    check,
    check_motif_errors,
    columns,
    cosine,
    euclidean,
    pivotal,
)
from tests.support.evaluation import QUIET, interface

COUNTS = {"Li": 9, "Co": 5, "Sc": 2}
SETTINGS = MotifSettings(tuple(COUNTS), InterfaceSettings().oxidation_states, ("Cl", "O"))
LOW, HIGH = 0.15, 0.85  # between layers of atoms, the lowest of which lies at 0


def interfaces(structures, noise, seed):
    """Those of the evaluation's tests with a different number of each cation, all of which occur in the region."""
    made = []
    rng = np.random.default_rng(seed)
    for atoms in interface(structures, seed):
        cations = np.flatnonzero(np.isin(atoms.get_chemical_symbols(), list(COUNTS)))
        height = atoms.get_scaled_positions()[cations, 2]
        upper = rng.permutation(cations[(height > LOW) & (height < HIGH)])
        symbols = np.array(atoms.get_chemical_symbols())
        symbols[cations] = "Li"
        symbols[upper[:6]] = ["Co", "Co", "Co", "Co", "Sc", "Sc"]
        symbols[next(index for index in cations if index not in upper)] = "Co"
        atoms.symbols[:] = symbols
        atoms.positions += rng.normal(0, noise, atoms.positions.shape)
        made.append(atoms)
    return made


def in_region(atoms):
    return (atoms.get_scaled_positions()[:, 2] > LOW) & (atoms.get_scaled_positions()[:, 2] < HIGH)


def means_of(structures, inside):
    """Mean fingerprints by cation, shape (structures, 109) each."""
    means = {species: [] for species in COUNTS}
    for atoms in structures:
        symbols = np.array(atoms.get_chemical_symbols())
        for species, rows in fingerprints(atoms, SETTINGS).items():
            assert len(rows) == COUNTS[species]
            means[species].append((rows[in_region(atoms)[symbols == species]] if inside else rows).mean(axis=0))
    means = {species: np.array(rows) for species, rows in means.items()}
    return means | {"all": sum(COUNTS[species] * rows for species, rows in means.items()) / sum(COUNTS.values())}


@pytest.fixture(scope="module")
def structures():
    return interfaces(5, 0.3, 1), interfaces(3, 0.2, 2)


@pytest.fixture(scope="module")
def result(structures, tmp_path_factory):
    """The evaluation of structures of which the third fails, and its folder."""
    generated, reference = structures
    output = tmp_path_factory.mktemp("interface") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
        some = [*generated[:2], broken(generated[0]), *generated[2:]]
        return evaluate(some, reference, "interface", region=[LOW, HIGH], output=output, **QUIET), output


@pytest.mark.parametrize(("inside", "part"), [(False, ""), (True, "_region")])
def test_distances_and_their_intervals(structures, result, inside, part):
    evaluation, folder = result
    generated, reference = (means_of(side, inside) for side in structures)
    for species in (*COUNTS, "all"):
        check(evaluation.values[f"d_{species}{part}"], euclidean(generated[species], reference[species]))
        check(evaluation.values[f"d_{species}{part}_cosine"], cosine(generated[species], reference[species]))
    rows = columns(folder / "structures.csv")
    assert rows["accepted"] == ("True", "True", "False", "True", "True", "True")
    for species in COUNTS:
        expected = np.linalg.norm(generated[species] - reference[species].mean(axis=0), axis=1)
        assert len(set(expected.round(9))) == 5
        column = rows[f"d_{species}{part}"]
        assert column[2] == ""
        np.testing.assert_allclose([float(value) for value in column if value], expected, rtol=1e-9)


def test_atoms_bear_the_number_of_their_structure_in_the_file(result):
    for species, count in COUNTS.items():
        table = columns(result[1] / f"cnn_stats_{species}.csv")
        numbers = np.repeat([1, 2, 4, 5, 6], count).tolist()
        assert [int(number) for number in table["structure_number"]] == numbers
        assert [int(number) for number in table["atom_number"]] == [*range(1, count + 1)] * 5


@pytest.mark.parametrize(("inside", "part"), [(False, ""), (True, "_region")])
def test_shares_of_motifs_and_their_errors(structures, result, inside, part):
    table = columns(result[1] / f"most_likely_Li_OP{part}.csv")
    named = [MOTIF_NAMES.index(name) for name in table["motif"][:-1]]
    shares, split = [], []
    for atoms in structures[0]:
        lithium = np.array(atoms.get_chemical_symbols()) == "Li"
        chosen = in_region(atoms)[lithium] if inside else np.ones(COUNTS["Li"], dtype=bool)
        found = most_likely(fingerprints(atoms, SETTINGS)["Li"], SETTINGS)
        motif, chlorine = found.motif[chosen], found.anion_counts[chosen, 0]
        kinds = [*(motif == index for index in named), ~np.isin(motif, named)]
        shares.append([100 * kind.mean() for kind in kinds])
        split.append([[100 * (kind & (chlorine == number)).mean() for kind in kinds] for number in range(5)])
    check_motif_errors(table, "Gen set", np.array(shares))
    assert np.count_nonzero(np.ptp(shares, axis=0)) > 2
    for number in range(5):
        check_motif_errors(table, f"Gen set {number} Cl", np.array(split)[:, number])
    assert np.count_nonzero(np.sum(split, axis=(0, 2))) > 2


@pytest.mark.parametrize(("inside", "part"), [(False, ""), (True, "_region")])
def test_radial_distributions_around_atoms_of_the_region(structures, result, inside, part):
    curves = []
    for side in structures:
        centers = [in_region(atoms) if inside else None for atoms in side]
        functions = [radial.partial_rdfs(a, [("Li", "Cl")], centers=c)[0] for a, c in zip(side, centers, strict=True)]
        curves.append(np.array(functions))
    table = {name: np.array(c, dtype=float) for name, c in columns(result[1] / f"avg_rdf_Li_Cl{part}.csv").items()}
    np.testing.assert_allclose(table["Train set avg rdf"], curves[1].mean(axis=0), rtol=1e-9, atol=1e-12)
    ends = pivotal(curves[0], lambda mean: mean)
    for name, expected in zip(("avg rdf", "lower bound", "upper bound"), ends, strict=True):
        np.testing.assert_allclose(table[f"Gen set {name}"], expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("compatible", [False, True])
def test_what_is_described_of_a_structure(structures, compatible):
    atoms = structures[0][0]
    described = InterfaceBenchmark(region=(LOW, HIGH), compatible=compatible).describe(atoms)
    order = ["Li", "Co", "Sc", "Cl", "O"]
    pairs = [(first, second) for place, first in enumerate(order) for second in order[place:]]
    functions = {
        name: [
            radial.partial_rdfs(atoms, pairs, centers=centers, compatible=flag) for flag in (compatible, not compatible)
        ]
        for name, centers in (("rdf", None), ("rdf_region", in_region(atoms)))
    }
    for name, (expected, other) in functions.items():
        np.testing.assert_array_equal(described[name], expected)
        assert np.nanmax(np.abs(expected - other)) > 0.1
    assert np.nanmax(np.abs(described["rdf"] - described["rdf_region"])) > 0.1
    symbols = np.array(atoms.get_chemical_symbols())
    for species, count in COUNTS.items():
        np.testing.assert_array_equal(described[f"inside_{species}"], in_region(atoms)[symbols == species])
        assert described[f"motifs_{species}"].shape == (count, 109)


def test_radial_distributions_are_of_all_pairs():
    structures = interface(2)
    tables = evaluate(structures, structures, "interface", **QUIET).scores.tables
    order = ["Li", "Co", "Sc", "Cl", "O"]
    names = {f"avg_rdf_{a}_{b}.csv" for i, a in enumerate(order) for b in order[i:]}
    assert {name for name in tables if name.startswith("avg_rdf_")} == names
    for pair in (("Cl", "O"), ("O", "O")):
        expected = np.mean([radial.rdf(atoms, pair) for atoms in structures], axis=0)
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
