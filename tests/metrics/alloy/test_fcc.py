import warnings

import ase.io
import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy import fcc as alloy
from cryingan.metrics.alloy.fcc import CLUSTER_NAMES, ECI, PAIR_NAMES, SPECIES, SRO_NAMES, VACANCY
from cryingan.structures.crystals import Crystals
from tests.support.paths import SHARED

# Cr, Fe and Ni on the sites of the benchmark's reference structure, in the order of `fcc_sites`.
REFERENCE_SITES = (
    "FFFNFFCCFFFFCFCCNFFNFFCCFFFFFFCFNFNNFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
    "NNNNCCCCFFFFCCCCNNNFCCCCFFFFCCCCFFNFFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
    "NFFNFFCCFFFFCCCCNNNNCCCCFFFFFCCCNNNNFFFFFFFFFFFFNFNNFFFFFFFFFFFF"
    "NNNNFCNCFFFFCCCCNNNNCCCCFFFFCCCCNNNFFFFFFFFFFFFFNNNNFFFFFFFFFFFF"
)
REFERENCE = SHARED / "reference/alloy_ref_struc.extxyz"
ROUNDED = 0.51e-5  # counts known to five decimals
PRINTED = 0.51e-6  # SRO known to six decimals
EXACT = 1e-12
CELL = 14.4 * np.eye(3)
DISTANCES = (2.545584, 3.6, 4.409082, 5.091169, 5.6921, 6.235383, 6.734983)

# Counts per atom of the reference structure, as upstream's script gives them; pairs not listed are 0.
REFERENCE_COUNTS = {
    1: {"Cr-Fe": 1.71875, "Cr-Ni": 0.67188, "Fe-Fe": 2.21094, "Fe-Ni": 1.07812, "Ni-Ni": 0.32031},
    2: {"Cr-Cr": 0.5, "Cr-Fe": 0.17188, "Cr-Ni": 0.02344, "Fe-Fe": 1.44141, "Fe-Ni": 0.55469, "Ni-Ni": 0.30859},
    3: {"Cr-Fe": 3.5625, "Cr-Ni": 1.21875, "Fe-Fe": 3.67578, "Fe-Ni": 3.52344, "Ni-Ni": 0.01953},
    4: {"Cr-Cr": 0.94922, "Cr-Fe": 0.45312, "Cr-Ni": 0.03906, "Fe-Fe": 2.49609, "Fe-Ni": 1.77344, "Ni-Ni": 0.28906},
    5: {"Cr-Fe": 3.49609, "Cr-Ni": 1.28516, "Fe-Fe": 4.375, "Fe-Ni": 2.19141, "Ni-Ni": 0.65234},
    6: {"Cr-Cr": 0.61719, "Cr-Fe": 0.33984, "Cr-Ni": 0.01953, "Fe-Fe": 1.44922, "Fe-Ni": 1.57422},
    7: {"Cr-Fe": 7.11328, "Cr-Ni": 2.44922, "Fe-Fe": 7.35547, "Fe-Ni": 7.05078, "Ni-Ni": 0.03125},
}
REFERENCE_SRO = {
    1: {
        "Fe-Ni": 0.250322,
        "Cr-Fe": -0.195142,
        "Cr-Ni": -0.410741,
        "Fe-Fe": -0.018277,
        "Cr-Cr": 1,
        "Ni-Ni": -0.345108,
    },
    2: {
        "Fe-Ni": 0.228587,
        "Cr-Fe": 0.760966,
        "Cr-Ni": 0.901567,
        "Fe-Fe": -0.327715,
        "Cr-Cr": -3.199358,
        "Ni-Ni": -1.591781,
    },
}


def by_name(names, nested):
    """Values of {shell: {pair: value}} in the order of names, 0 where missing."""
    return np.array([nested[int(name[0])].get(name.split("_")[1], 0) for name in names])


def random_occupations(structures, seed=0, sites=256):
    rng = np.random.default_rng(seed)
    filled = np.repeat(np.arange(3, dtype=np.int8), [51, 154, 51])[:sites]
    return np.stack([rng.permutation(filled) for _ in range(structures)])


def place(occupied, repeats=4):
    """Crystals of one occupation, atoms grouped by species, vacancies left out."""
    order = np.argsort(occupied, kind="stable")
    order = order[occupied[order] != VACANCY]
    species = tuple(SPECIES[kind] for kind in occupied[order])
    return Crystals(alloy.fcc_sites(repeats)[None, order], 3.6 * repeats * np.eye(3), species)


def map_back(crystals, repeats=4):
    return alloy.occupation(crystals.fractional, crystals.species, crystals.cell, alloy.fcc_sites(repeats))


def ase_counts(atoms):
    """Counts per atom from ASE's neighbour list: an independent route from positions to pairs."""
    symbols = np.array(atoms.get_chemical_symbols())
    first, second, distance = neighbor_list("ijd", atoms, 6.9)
    counts = [np.mean(symbols == s) for s in SPECIES]
    for length in DISTANCES:
        shell = np.abs(distance - length) < 0.01
        pairs = ["-".join(sorted(p)) for p in zip(symbols[first[shell]], symbols[second[shell]], strict=True)]
        counts += [pairs.count(name) / 2 / len(atoms) for name in PAIR_NAMES]
    return np.array(counts)


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
    found = alloy.occupation(fractional, species, cell, sites, margin=0.8)
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
