"""Sites, occupation, clusters, energy and order on the fcc lattice, against the benchmark's reference and ASE."""

import warnings

import ase.io
import numpy as np
import pytest

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy import fcc as alloy
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, ECI, SPECIES, SRO_NAMES, VACANCY
from cryingan.structures.crystals import Crystals
from tests.support.alloys import (
    EXACT,
    PRINTED,
    REFERENCE,
    REFERENCE_COUNTS,
    REFERENCE_SRO,
    ROUNDED,
    ase_counts,
    by_name,
    random_occupations,
)

# Cr, Fe and Ni on the sites of the benchmark's reference structure, in the order of `fcc_sites`.
REFERENCE_SITES = (
    "FFFNFFCCFFFFCFCCNFFNFFCCFFFFFFCFNFNNFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
    "NNNNCCCCFFFFCCCCNNNFCCCCFFFFCCCCFFNFFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
    "NFFNFFCCFFFFCCCCNNNNCCCCFFFFFCCCNNNNFFFFFFFFFFFFNFNNFFFFFFFFFFFF"
    "NNNNFCNCFFFFCCCCNNNNCCCCFFFFCCCCNNNFFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
)
CELL = 14.4 * np.eye(3)


def place(occupied, repeats=4):
    """Crystals of one occupation, atoms grouped by species, vacancies left out."""
    order = np.argsort(occupied, kind="stable")
    order = order[occupied[order] != VACANCY]
    species = tuple(SPECIES[kind] for kind in occupied[order])
    return Crystals(alloy.fcc_sites(repeats)[None, order], 3.6 * repeats * np.eye(3), species)


def map_back(crystals, repeats=4):
    return alloy.occupation(crystals.fractional, crystals.species, crystals.cell, alloy.fcc_sites(repeats))


@pytest.fixture(scope="module")
def reference_occupation():
    return np.array([["CFN".index(letter) for letter in REFERENCE_SITES]], dtype=np.int8)


@pytest.fixture(scope="module")
def reference_counts(reference_occupation):
    return alloy.cluster_counts(reference_occupation)


def test_reference_structure_is_that_of_the_benchmark(reference_occupation):
    if not REFERENCE.exists():
        pytest.skip("the benchmark's reference structure is not beside the repository")
    atoms = ase.io.read(REFERENCE)
    sites = alloy.fcc_sites(offset=0.0)
    occupied = alloy.occupation(atoms.get_scaled_positions()[None], atoms.get_chemical_symbols(), atoms.cell, sites)
    np.testing.assert_array_equal(occupied, reference_occupation)


def test_reference_structure_gives_the_counts_of_the_benchmark(reference_counts):
    np.testing.assert_allclose(reference_counts[0, :3], np.array([51, 154, 51]) / 256, rtol=EXACT)
    np.testing.assert_allclose(reference_counts[0, 3:], by_name(CLUSTER_NAMES[3:], REFERENCE_COUNTS), atol=ROUNDED)


def test_reference_structure_gives_the_energy_of_the_benchmark(reference_counts):
    energy = alloy.formation_energy(reference_counts.round(5))
    np.testing.assert_allclose(energy, -0.09545419238864887, rtol=EXACT)
    np.testing.assert_allclose(alloy.formation_energy(reference_counts), energy, atol=ROUNDED)


def test_reference_structure_gives_the_short_range_order_of_the_benchmark(reference_counts):
    order = alloy.short_range_order(reference_counts.round(5))
    np.testing.assert_allclose(order[0], by_name(SRO_NAMES, REFERENCE_SRO), atol=PRINTED)


def test_ordered_alloy_by_hand():
    corner = alloy.fcc_sites(4, offset=0.0) * 4 % 1  # place of each site in its conventional cell
    occupied = np.full((1, 256), SPECIES.index("Fe"))
    occupied[:, (corner == 0).all(axis=1)] = SPECIES.index("Cr")
    occupied[:, (corner == (0.5, 0.5, 0)).all(axis=1)] = SPECIES.index("Ni")
    first = {"Cr-Ni": 1, "Cr-Fe": 2, "Fe-Ni": 2, "Fe-Fe": 1}
    second = {"Cr-Cr": 0.75, "Ni-Ni": 0.75, "Fe-Fe": 1.5}
    factors = {1: (1, first), 2: (1, second), 3: (2, first), 4: (2, second), 5: (2, first), 6: (4 / 3, second)}
    factors[7] = (4, first)
    expected = {shell: {k: f * v for k, v in pairs.items()} for shell, (f, pairs) in factors.items()}
    counts = alloy.cluster_counts(occupied)
    np.testing.assert_allclose(counts[0, 3:], by_name(CLUSTER_NAMES[3:], expected), atol=EXACT)
    third = 1 / 3
    order = {1: {"Cr-Fe": -third, "Cr-Ni": -third, "Fe-Ni": -third, "Fe-Fe": third, "Cr-Cr": 1, "Ni-Ni": 1}}
    order[2] = {"Cr-Fe": 1, "Cr-Ni": 1, "Fe-Ni": 1, "Fe-Fe": -1, "Cr-Cr": -3, "Ni-Ni": -3}
    np.testing.assert_allclose(alloy.short_range_order(counts)[0], by_name(SRO_NAMES, order), atol=EXACT)


def test_short_range_order_vanishes_in_the_random_limit():
    composition = np.array([0.2, 0.6, 0.2])
    pairs = [composition[a] * composition[b] * (1 if a == b else 2) for a, b in alloy.PAIRS]
    counts = np.concatenate([composition, *(m * np.array(pairs) for m in (6, 3, 12, 6, 12, 4, 24))])
    np.testing.assert_allclose(alloy.short_range_order(counts[None]), 0, atol=EXACT)


@pytest.mark.parametrize("vacancies", [0, 7])
def test_counts_agree_with_the_neighbour_list_of_ase(vacancies):
    occupied = random_occupations(1)
    occupied[0, np.random.default_rng(1).choice(256, vacancies, replace=False)] = VACANCY
    crystals = place(occupied[0])
    np.testing.assert_array_equal(map_back(crystals), occupied)
    counts = alloy.cluster_counts(occupied)[0]
    np.testing.assert_allclose(counts, ase_counts(crystals.to_ase()[0]), atol=EXACT)
    energy = alloy.ECI_CONSTANT + sum(e * c for e, c in zip(ECI.ravel(), counts[3:], strict=True))
    np.testing.assert_allclose(alloy.formation_energy(counts[None]), energy, rtol=EXACT)


def test_energy_of_the_pure_elements_by_hand():
    constant = -0.00932958469464057
    chromium = 6 * 0.0003376140261270978 - 3 * 0.03477817417403486 + 12 * 0.0015984460745564193
    chromium += -12 * 0.0007252972937068049 + 24 * 0.001983244154690138
    iron = -3 * 0.0006455514901675906 - 12 * 0.0005707393430416303 + 24 * 0.0003351340012252481
    nickel = 6 * 0.0022227714241077777 + 6 * 0.0012250045279512465 - 12 * 0.001669283899958865
    nickel += -4 * 0.003134770684447135 + 24 * 0.0010601861757962314
    pure = np.repeat(np.arange(3)[:, None], 256, axis=1)
    energy = alloy.formation_energy(alloy.cluster_counts(pure))
    np.testing.assert_allclose(energy, constant + np.array([chromium, iron, nickel]), rtol=EXACT)


def test_small_cell_counts_every_image():
    occupied = random_occupations(1, sites=32)
    crystals = place(occupied[0], repeats=2)
    np.testing.assert_allclose(alloy.cluster_counts(occupied)[0], ase_counts(crystals.to_ase()[0]), atol=EXACT)


def test_mapping_withstands_noise_periodic_images_and_atom_order():
    occupied = random_occupations(5)
    rng = np.random.default_rng(2)
    for target in occupied:
        crystals = place(target)
        noisy = crystals.fractional + rng.normal(0, 0.1 / 14.4, crystals.fractional.shape)
        noisy += rng.integers(-2, 3, noisy.shape)
        shuffled = np.concatenate([rng.permutation(block) for block in np.split(np.arange(256), [51, 205])])
        for dtype in (np.float64, np.float32):
            found = alloy.occupation(
                noisy[:, shuffled].astype(dtype), crystals.species, crystals.cell, alloy.fcc_sites()
            )
            np.testing.assert_array_equal(found[0], target)


def test_mapping_agrees_with_all_minimum_image_distances_of_ase():
    rng = np.random.default_rng(3)
    cell = CELL + rng.normal(0, 2.0, (3, 3))
    fractional, sites = rng.random((2, 300, 3)), alloy.fcc_sites(offset=0.0)
    species = [SPECIES[i] for i in rng.integers(0, 3, 300)]
    found = alloy.occupation(fractional, species, cell, sites)
    for structure, row in zip(fractional, found, strict=True):
        both = ase.Atoms(species + ["X"] * 256, scaled_positions=[*structure, *sites], cell=cell, pbc=True)
        for site in range(0, 256, 5):
            distance = both.get_distances(300 + site, range(300), mic=True)
            expected = SPECIES.index(species[distance.argmin()]) if distance.min() < 0.8 else VACANCY
            assert row[site] == expected
    assert 0.05 < (found == VACANCY).mean() < 0.95


def test_nearest_atom_within_the_margin_holds_the_site():
    sites = alloy.fcc_sites()
    for offsets, expected in [((0.3, 0.2), 1), ((0.2, 0.3), 0), ((0.79, 0.9), 0), ((0.81, 0.9), VACANCY)]:
        fractional = sites[7] + np.array([[[x, 0, 0] for x in offsets]]) / 14.4
        assert alloy.occupation(fractional, ["Cr", "Fe"], CELL, sites)[0, 7] == expected


def test_structure_off_the_lattice_is_empty_and_harms_no_other():
    good = random_occupations(1)[0]
    crystals = place(good)
    fractional = np.concatenate([crystals.fractional, crystals.fractional + 0.125])
    found = alloy.occupation(fractional, crystals.species, CELL, alloy.fcc_sites())
    np.testing.assert_array_equal(found, [good, np.full(256, VACANCY)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = alloy.cluster_counts(found)
        energy, order = alloy.formation_energy(counts), alloy.short_range_order(counts)
    for values in (counts, energy, order):
        assert np.isfinite(values[0]).all()
        assert np.isnan(values[1]).all()


def test_missing_element_has_no_short_range_order():
    occupied = random_occupations(1)
    occupied[occupied == SPECIES.index("Ni")] = SPECIES.index("Fe")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        order = alloy.short_range_order(alloy.cluster_counts(occupied))[0]
    np.testing.assert_array_equal(np.isnan(order), ["Ni" in name for name in SRO_NAMES])


def test_wrong_input_is_named():
    with pytest.raises(CryinGANError, match="Li"):
        alloy.occupation(np.zeros((1, 1, 3)), ["Li"], CELL, alloy.fcc_sites())
    with pytest.raises(ValueError, match="finite"):
        alloy.occupation(np.full((1, 1, 3), np.nan), ["Fe"], CELL, alloy.fcc_sites())
    with pytest.raises(ValueError, match="100 sites"):
        alloy.cluster_counts(np.zeros((1, 100)))


def test_no_site_of_the_data_sets_is_near_the_boundary():
    cartesian = alloy.fcc_sites() * 14.4
    assert cartesian.min() == pytest.approx(0.9)
    assert cartesian.max() == pytest.approx(13.5)
