"""Mapping on the lattice: noise, translations, vacancies, other cells, and what is rejected."""

import warnings

import ase
import ase.io
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryingan.errors import CryinGANError
from cryingan.metrics.alloy.fcc import (
    CLUSTER_NAMES,
    SRO_NAMES,
    VACANCY,
    fcc_sites,
    formation_energy,
    short_range_order,
)
from cryingan.metrics.alloy.lattice import FccLattice, fitted_origin, nearest_fcc
from cryingan.metrics.alloy.mapping import MAPPINGS, map_to_lattice
from cryingan.structures.files import read_structures
from tests.support.alloys import (
    EXACT,
    PRINTED,
    REFERENCE,
    REFERENCE_COUNTS,
    REFERENCE_SRO,
    ROUNDED,
    alloy_atoms,
    ase_counts,
    by_name,
    counts_of,
    random_occupations,
    rattled,
)
from tests.support.paths import ROOT

BOTH = [False, True]


def is_translate(found, occupied):
    """Whether one occupation is the other moved by a lattice vector."""
    grid = np.full((8, 8, 8), VACANCY - 1)
    places = np.rint(fcc_sites(4, 0.0) * 8).astype(int)
    grid[tuple(places.T)] = occupied
    moves = places[:, None] + places
    return (grid[tuple(np.moveaxis(moves % 8, -1, 0))] == found[:, None]).all(axis=0).any()


@pytest.fixture(scope="module")
def occupied():
    return random_occupations(1, seed=11)[0]


@pytest.fixture(scope="module")
def expected(occupied):
    return counts_of(occupied)


@pytest.mark.parametrize("compatible", BOTH)
@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_reference_structure_gives_the_numbers_of_the_benchmark(mapping, compatible):
    if not REFERENCE.exists():
        pytest.skip("the benchmark's reference structure is not beside the repository")
    mapped = map_to_lattice(ase.io.read(REFERENCE), mapping=mapping, compatible=compatible)
    assert (mapped.vacancies, mapped.dropped, mapped.reason) == (0, 0, "")
    np.testing.assert_allclose(mapped.counts[:3], np.array([51, 154, 51]) / 256, atol=ROUNDED)
    tolerance = EXACT if compatible else ROUNDED
    np.testing.assert_allclose(mapped.counts[3:], by_name(CLUSTER_NAMES[3:], REFERENCE_COUNTS), atol=tolerance)
    rounded = mapped.counts if compatible else mapped.counts.round(5)
    np.testing.assert_allclose(formation_energy(rounded[None]), -0.09545419238864887, rtol=1e-14)
    order = by_name(SRO_NAMES, REFERENCE_SRO)
    np.testing.assert_allclose(short_range_order(rounded[None])[0], order, atol=PRINTED)


@pytest.mark.parametrize("compatible", BOTH)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_ordered_alloy_by_hand(mapping, compatible):
    corner = fcc_sites(4, 0.0) * 4 % 1
    kinds = np.ones(256, dtype=int)
    kinds[(corner == 0).all(axis=1)] = 0
    kinds[(corner == (0.5, 0.5, 0)).all(axis=1)] = 2
    mapped = map_to_lattice(alloy_atoms(kinds), mapping=mapping, compatible=compatible)
    third = 1 / 3
    order = {1: {"Cr-Fe": -third, "Cr-Ni": -third, "Fe-Ni": -third, "Fe-Fe": third, "Cr-Cr": 1, "Ni-Ni": 1}}
    order[2] = {"Cr-Fe": 1, "Cr-Ni": 1, "Fe-Ni": 1, "Fe-Fe": -1, "Cr-Cr": -3, "Ni-Ni": -3}
    np.testing.assert_allclose(short_range_order(mapped.counts[None])[0], by_name(SRO_NAMES, order), atol=EXACT)


@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_noise_order_of_atoms_and_images_change_nothing(occupied, expected, mapping):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        atoms = rattled(alloy_atoms(occupied), seed=seed)[rng.permutation(256)]
        atoms.positions += rng.integers(-2, 3, atoms.positions.shape) @ atoms.cell.array
        mapped = map_to_lattice(atoms, mapping=mapping)
        np.testing.assert_array_equal(mapped.occupation, occupied)
        np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)
        assert (mapped.vacancies, mapped.dropped, mapped.reason) == (0, 0, "")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mapping", ["auto", "diffcsp", "cdvae"])
def test_moved_and_turned_structure_keeps_its_occupation(occupied, expected, mapping, seed):
    rng = np.random.default_rng(seed)
    atoms = rattled(alloy_atoms(occupied), seed=seed)
    atoms.positions += rng.uniform(0, 14.4, 3)
    atoms.wrap()
    atoms.set_cell(atoms.cell.array @ Rotation.random(random_state=seed).as_matrix(), scale_atoms=True)
    mapped = map_to_lattice(atoms, mapping=mapping)
    assert is_translate(mapped.occupation, occupied)
    np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)
    assert mapped.mapping == ("diffcsp" if mapping == "auto" else mapping)


def test_small_translation_keeps_every_site(occupied):
    for shift in np.random.default_rng(0).uniform(-0.7, 0.7, (5, 3)):
        atoms = rattled(alloy_atoms(occupied))
        atoms.positions += shift
        np.testing.assert_array_equal(map_to_lattice(atoms, mapping="diffcsp").occupation, occupied)


@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_cell_that_is_strained_is_mapped_by_fractions(occupied, expected, mapping):
    for seed in range(4):
        strain = np.random.default_rng(seed).normal(0, 0.02, (3, 3)) + 1.03 * np.eye(3)
        atoms = rattled(alloy_atoms(occupied), seed=seed)
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        mapped = map_to_lattice(atoms, mapping=mapping)
        np.testing.assert_array_equal(mapped.occupation, occupied)
        np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)


@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
@pytest.mark.parametrize("missing", [1, 20, 50])
def test_vacancies_are_counted_and_are_no_species(mapping, missing):
    kinds = random_occupations(1)[0]
    kinds[np.random.default_rng(missing).choice(256, missing, replace=False)] = VACANCY
    mapped = map_to_lattice(rattled(alloy_atoms(kinds)), mapping=mapping)
    assert (mapped.vacancies, mapped.dropped, mapped.reason) == (missing, 0, "")
    np.testing.assert_allclose(mapped.counts, counts_of(kinds), atol=EXACT)


@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_interstitials_and_doubles_are_dropped(occupied, expected, mapping):
    atoms = rattled(alloy_atoms(occupied), 0.05)
    for place in ([1.8, 0, 0], [0.9, 0.9, 0.9], [7.2, 0.55, 0.0]):
        atoms.append(ase.Atom("Cr", place))
    mapped = map_to_lattice(atoms, mapping=mapping)
    assert (mapped.vacancies, mapped.dropped) == (0, 3)
    np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)


def test_one_displaced_atom_does_not_move_the_lattice(occupied):
    atoms = rattled(alloy_atoms(occupied))
    first = np.linalg.norm(fcc_sites(4, 0.0)[np.argsort(occupied, kind="stable")], axis=1).argmin()
    atoms.positions += 0.2
    atoms.positions[first] = [0.75, 0.75, 0.05]
    mapped = map_to_lattice(atoms, mapping="diffcsp")
    np.testing.assert_array_equal(mapped.occupation, occupied)
    assert map_to_lattice(atoms, mapping="diffcsp", compatible=True).vacancies > 0


def test_automatic_choice_takes_the_first_that_fits(occupied):
    atoms = alloy_atoms(occupied)
    assert map_to_lattice(atoms).mapping == "cryingan"
    short = atoms[:250]
    assert map_to_lattice(short).mapping == "cryingan"
    atoms.positions += 0.9
    for structure, vacancies in ((atoms, 0), (atoms[:250], 6)):
        mapped = map_to_lattice(structure)
        assert (mapped.mapping, mapped.vacancies) == ("diffcsp", vacancies)
        assert map_to_lattice(structure, compatible=True).vacancies == vacancies


@pytest.mark.parametrize(("repeats", "constant", "origin"), [(1, 3.6, 0.0), (3, 4.05, 0.25), (5, 3.5, 0.1)])
def test_other_lattices(repeats, constant, origin):
    kinds = np.random.default_rng(repeats).integers(0, 3, 4 * repeats**3)
    perfect = alloy_atoms(kinds, repeats, constant, origin)
    lattice = FccLattice.of(perfect)
    assert lattice.repeats == repeats
    assert lattice.constant == pytest.approx(constant)
    np.testing.assert_allclose(lattice.origin, origin, atol=1e-9)
    scaled = perfect.copy()
    scaled.set_cell(repeats * 3.6 * np.eye(3), scale_atoms=True)
    expected = ase_counts(scaled)
    for mapping in MAPPINGS:
        mapped = map_to_lattice(rattled(perfect, 0.1), lattice, mapping)
        np.testing.assert_array_equal(mapped.occupation, kinds)
        np.testing.assert_allclose(mapped.counts, expected, atol=EXACT)


def test_data_sets_have_their_lattice_where_the_card_says():
    crystals = read_structures(ROOT / "data/alloy/alloy_300K_wide.extxyz.gz")
    lattice = FccLattice.of(crystals[:1].to_ase()[0])
    np.testing.assert_allclose(lattice.origin, 0.25, atol=1e-6)
    mapped = map_to_lattice(crystals[7:8].to_ase()[0], lattice)
    assert (mapped.mapping, mapped.vacancies, mapped.dropped) == ("cryingan", 0, 0)


@pytest.mark.parametrize("compatible", BOTH)
@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_what_cannot_be_mapped_is_rejected_with_the_reason(occupied, mapping, compatible):
    cell = 14.4 * np.eye(3)
    whole = alloy_atoms(occupied)
    lost, foreign, flat = whole.copy(), whole.copy(), whole.copy()
    lost.positions[3, 1] = np.nan
    foreign.symbols[0] = "Li"
    flat.set_cell([14.4, 14.4, 0])
    cases = [(lost, "not finite"), (foreign, "Li"), (flat, "flat"), (ase.Atoms(cell=cell, pbc=True), "no atoms")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for atoms, reason in cases:
            mapped = map_to_lattice(atoms, mapping=mapping, compatible=compatible)
            assert reason in mapped.reason
            assert mapped.counts.shape == (45,)
            assert mapped.occupation.shape == (256,)


@pytest.mark.parametrize("mapping", ["auto", *MAPPINGS])
def test_structures_of_another_kind_are_rejected(occupied, mapping):
    rng = np.random.default_rng(0)
    whole = alloy_atoms(occupied)
    random, large, few = whole.copy(), whole.copy(), whole[:205]
    random.set_scaled_positions(rng.random((256, 3)))
    large.set_cell(1.2 * whole.cell.array, scale_atoms=True)
    for atoms in (random, large, few, whole[:1]):
        assert map_to_lattice(atoms, mapping=mapping).reason
    assert not map_to_lattice(whole[:206], mapping=mapping).reason


@pytest.mark.parametrize("compatible", BOTH)
def test_no_atom_on_any_site_is_no_crash(occupied, compatible):
    atoms = alloy_atoms(occupied)
    atoms.positions += 1.8  # every atom at the centre of an octahedron
    mapped = map_to_lattice(atoms, mapping="cryingan", compatible=compatible)
    assert (mapped.vacancies, mapped.dropped) == (256, 256)
    assert "no atom is within 0.8" in mapped.reason
    assert np.isnan(mapped.counts).all()


def test_single_species_has_counts_but_no_order():
    mapped = map_to_lattice(alloy_atoms(np.ones(256, dtype=int)))
    expected = dict.fromkeys(CLUSTER_NAMES, 0.0)
    expected |= {"0NN_Fe": 1, "1NN_Fe-Fe": 6, "2NN_Fe-Fe": 3, "3NN_Fe-Fe": 12, "4NN_Fe-Fe": 6, "5NN_Fe-Fe": 12}
    expected |= {"6NN_Fe-Fe": 4, "7NN_Fe-Fe": 24}
    np.testing.assert_allclose(mapped.counts, list(expected.values()), atol=EXACT)
    order = short_range_order(mapped.counts[None])[0]
    np.testing.assert_array_equal(np.isnan(order), [name[4:] != "Fe-Fe" for name in SRO_NAMES])


def test_origin_withstands_defects(occupied):
    rng = np.random.default_rng(5)
    for _ in range(10):
        atoms = rattled(alloy_atoms(occupied), 0.2, seed=rng.integers(1000))
        shift = rng.uniform(-0.6, 0.6, 3)
        atoms.positions += shift
        stray = rng.choice(256, 60, replace=False)
        atoms.positions[stray] = rng.uniform(0, 14.4, (60, 3))
        origin = fitted_origin(atoms.get_scaled_positions(), FccLattice())
        assert np.abs(origin * 3.6 - shift).max() < 0.1


def test_nearest_fcc_point_is_the_nearest_of_all():
    points = np.random.default_rng(0).uniform(-3, 3, (500, 3))
    grid = np.indices((11, 11, 11)).reshape(3, -1).T - 5
    even = grid[grid.sum(axis=1) % 2 == 0]
    distance = np.linalg.norm(points[:, None] - even, axis=2)
    np.testing.assert_array_equal(nearest_fcc(points), even[distance.argmin(axis=1)])


def test_wrong_input_is_named(occupied):
    with pytest.raises(CryinGANError, match="mapping=rotate must be one of auto, cryingan, diffcsp, cdvae"):
        map_to_lattice(alloy_atoms(occupied), mapping="rotate")
    for atoms in (alloy_atoms(occupied)[:200], ase.Atoms("Fe4", positions=np.eye(4)[:, :3], cell=[3, 4, 5], pbc=True)):
        with pytest.raises(CryinGANError, match="does not fill an fcc lattice"):
            FccLattice.of(atoms)
