"""The scores of amorphous silicon, put together again from what each structure gives."""

import numpy as np
import pytest

from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics import angles, radial
from cryingan.metrics.motifs.fingerprints import MOTIF_NAMES, MotifSettings, feature_names, fingerprints, most_likely
from tests.evaluation.benchmarks.resampling import broken, check, check_motif_errors, columns, cosine, euclidean
from tests.support.evaluation import QUIET, silicon

SETTINGS = MotifSettings(("Si",))
DISTANCES = {"d_motif": "motif", "d_rdf": "rdf", "d_angle": "angle"}


def rows_of(structures):
    motifs = [fingerprints(atoms, SETTINGS)["Si"] for atoms in structures]
    return {
        "motif": np.array([rows.mean(axis=0) for rows in motifs]),
        "rdf": np.array([radial.rdf(atoms) for atoms in structures]),
        "angle": np.array([angles.bond_angle_histogram(atoms) for atoms in structures]),
        "sites": np.array(motifs),
    }


@pytest.fixture(scope="module")
def structures():
    return silicon(5, 0.25, seed=1), silicon(3, 0.1, seed=2)


@pytest.fixture(scope="module")
def sides(structures):
    return tuple(map(rows_of, structures))


@pytest.fixture(scope="module")
def folder(structures, tmp_path_factory):
    """The folder of an evaluation whose second structure fails."""
    generated, reference = structures
    output = tmp_path_factory.mktemp("silicon") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryingan.plots.style.save_figure", lambda *arguments, **settings: None)
        evaluate([generated[0], broken(generated[0]), *generated[1:]], reference, "silicon", output=output, **QUIET)
    return output


def test_distances_and_their_intervals(structures, sides):
    values = evaluate(*structures, "silicon", **QUIET).values
    generated, reference = sides
    for name, quantity in DISTANCES.items():
        check(values[name], euclidean(generated[quantity], reference[quantity]))
    check(values["d_motif_cosine"], cosine(generated["motif"], reference["motif"]))


def test_structures_keep_their_values_around_one_that_fails(folder, sides):
    rows = columns(folder / "structures.csv")
    assert rows["accepted"] == ("True", "False", "True", "True", "True", "True")
    generated, reference = sides
    for name, quantity in DISTANCES.items():
        expected = np.linalg.norm(generated[quantity] - reference[quantity].mean(axis=0), axis=1)
        assert rows[name][1] == ""
        np.testing.assert_allclose([float(v) for v in rows[name] if v], expected, rtol=1e-9)
        assert len(set(expected.round(9))) == 5
    sites = columns(folder / "cnn_stats_Si.csv")
    assert [int(number) for number in sites["structure_number"]] == np.repeat([1, 3, 4, 5, 6], 8).tolist()
    assert [int(number) for number in sites["Si_number"]] == [1, 2, 3, 4, 5, 6, 7, 8] * 5
    tetrahedral = np.array(sites["tetrahedral CN_4"], dtype=float).reshape(5, 8)
    np.testing.assert_allclose(
        tetrahedral, generated["sites"][..., feature_names(SETTINGS).index("tetrahedral CN_4")], rtol=1e-12
    )


def test_shares_of_motifs_and_their_errors(folder, sides):
    table = columns(folder / "most_likely_Si_OP.csv")
    likely = [np.array([most_likely(rows, SETTINGS).motif for rows in side["sites"]]) for side in sides]
    listed = [MOTIF_NAMES.index(name) for name in table["motif"] if name != "other"]
    shares = []
    for motif in likely:
        share = 100 * np.array([[np.mean(one == index) for index in listed] for one in motif])
        shares.append(np.column_stack([share, 100 - share.sum(axis=1)]))
    np.testing.assert_allclose(np.array(table["Train set (%)"], dtype=float), shares[1].mean(axis=0), atol=1e-10)
    check_motif_errors(table, "Gen set", shares[0])
    assert np.ptp(shares[0], axis=0).min() > 0


def test_compatible_radial_distributions_count_nearest_images_only(structures):
    atoms = structures[0][0]
    for compatible in (False, True):
        described = SiliconBenchmark(compatible=compatible).describe(atoms)
        np.testing.assert_array_equal(described["rdf"], radial.rdf(atoms, compatible=compatible))
    assert np.abs(described["rdf"] - radial.rdf(atoms)).max() > 0.1
