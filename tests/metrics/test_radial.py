"""Radial distribution functions against ASE's neighbour lists, pymatgen's nearest images and a plain loop."""

from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry.rdf import get_rdf
from ase.neighborlist import neighbor_list
from pymatgen.core import Lattice

from cryingan.errors import CryinGANError
from cryingan.metrics.radial import bin_centers, partial_rdfs, rdf
from cryingan.metrics.region import Region

ROUNDING = 1e-10
PRINTED = 0.51e-4  # g known to four decimals
CELLS = {  # no lattice vector as long as the edge of a bin
    "cubic": np.diag([11.003, 11.003, 11.003]),
    "skewed": np.array([[6.013, 0, 0], [5.0, 7.0, 0], [-4.0, 3.1, 9.07]]),
    "left-handed": np.array([[0, 6.013, 0], [7.0, 0, 0.5], [0, 0.3, 8.0]]),
    "flat": np.diag([3.017, 20.011, 5.013]),
    "silicon": np.diag([17.201, 17.201, 17.201]),
}


def random_structure(cell="skewed", species="LiLiLiCoCoOOOO", seed=0):
    symbols = Atoms(species).get_chemical_symbols()
    fractional = np.random.default_rng(seed).uniform(-1, 2, size=(len(symbols), 3))  # images of any kind
    return Atoms(symbols, scaled_positions=fractional, cell=CELLS[cell], pbc=True)


def normalised(counts, centers, neighbors, volume, r_max):
    edges = np.linspace(0, r_max, len(counts) + 1)
    return counts / (centers * neighbors / volume * 4 / 3 * np.pi * (edges[1:] ** 3 - edges[:-1] ** 3))


def ase_rdf(atoms, pair, r_max, bins, centers=None):
    """By ASE's neighbour list, which holds every periodic image."""
    first, second, distance = neighbor_list("ijd", atoms, r_max)
    symbols = np.array(atoms.get_chemical_symbols())
    inner, outer = (np.ones(len(atoms), dtype=bool) if s is None else symbols == s for s in pair or (None, None))
    inner = inner if centers is None else inner & centers
    counts = np.histogram(distance[inner[first] & outer[second]], bins, (0, r_max))[0]
    return normalised(counts, inner.sum(), outer.sum(), atoms.cell.volume, r_max)


def nearest_image_rdf(atoms, r_max, bins):
    """The rule of Dismai-Bench word by word: all ordered pairs of a 2x2x2 supercell at pymatgen's distance."""
    supercell = atoms.repeat(2)
    fractional = supercell.cell.scaled_positions(supercell.positions)
    distance = Lattice(supercell.cell.array).get_all_distances(fractional, fractional)
    counts = np.histogram(distance[~np.eye(len(supercell), dtype=bool)], bins, (0, r_max))[0]
    return normalised(counts, len(supercell), len(supercell), supercell.cell.volume, r_max)


@pytest.mark.parametrize("size", [4, 2, 1, None])
def test_diamond(size):
    atoms = bulk("Si", "diamond", a=5.431, cubic=size is not None).repeat(size or 1)
    g = rdf(atoms)
    shells = np.flatnonzero(g)
    assert shells[:3].tolist() == [117, 192, 225]
    assert shells[-1] == 484
    np.testing.assert_allclose(g[shells[:3]], [57.7074, 64.5013, 47.0042], rtol=0, atol=PRINTED)
    if size in (2, 4):
        np.testing.assert_allclose(rdf(atoms, compatible=True), g, rtol=1e-14)
    width = 4 / 3 * np.pi * np.diff(np.linspace(0, 10, 501) ** 3) * 8 / 5.431**3
    np.testing.assert_allclose((g * width)[shells[:3]], [4, 12, 12], rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("r_max", "bins"), [(10.0, 500), (3.3, 7), (14.0, 100)])
def test_all_images_as_ase(cell, r_max, bins):
    atoms = random_structure(cell)
    pairs = [None, *product(("Li", "Co", "O"), repeat=2)]
    result = partial_rdfs(atoms, pairs, r_max, bins)
    for pair, g in zip(pairs, result, strict=True):
        np.testing.assert_allclose(g, ase_rdf(atoms, pair, r_max, bins), rtol=0, atol=ROUNDING, err_msg=str(pair))
        np.testing.assert_array_equal(rdf(atoms, pair, r_max=r_max, bins=bins), g)
    np.testing.assert_allclose(result[2], result[4], rtol=1e-12)  # Li-Co and Co-Li


@pytest.mark.parametrize("pair", [None, ("Li", "O"), ("O", "O")])
def test_rdf_of_ase(pair):
    atoms = random_structure("cubic", "Li10O20")
    g, r = get_rdf(atoms, 5.0, 50, elements=pair)
    np.testing.assert_allclose(rdf(atoms, pair, r_max=5.0, bins=50), g, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(bin_centers(5.0, 50), r, atol=1e-12)


def test_plain_loop():
    atoms = random_structure("flat", "Si5")
    atoms.wrap()
    counts = np.zeros(40)
    for i, j, *shift in product(range(5), range(5), *[range(-3, 4)] * 3):
        length = np.linalg.norm(atoms.positions[j] + shift @ atoms.cell.array - atoms.positions[i])
        if (i != j or any(shift)) and length < 4:
            counts[int(length * 10)] += 1
    expected = normalised(counts, 5, 5, atoms.cell.volume, 4)
    np.testing.assert_allclose(rdf(atoms, r_max=4.0, bins=40), expected, rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_compatible_is_the_rule_of_dismai_bench(cell):
    atoms = random_structure(cell)
    expected = nearest_image_rdf(atoms, 10.0, 500)
    np.testing.assert_allclose(rdf(atoms, compatible=True), expected, rtol=0, atol=ROUNDING)
    same = cell in (
        "cubic",
        "silicon",
    )  # no lattice vector of these is within 10 Angstrom
    assert np.allclose(rdf(atoms), expected, rtol=0, atol=ROUNDING) == same
    assert rdf(atoms, compatible=True).sum() <= rdf(atoms).sum()


def test_silicon_at_the_size_of_the_benchmark():
    atoms = random_structure("silicon", "Si256")
    expected = nearest_image_rdf(atoms, 10.0, 500)
    for compatible in (False, True):
        np.testing.assert_allclose(rdf(atoms, compatible=compatible), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("pair", [None, ("Li", "O"), ("O", "Li"), ("Co", "Co")])
@pytest.mark.parametrize("compatible", [False, True])
def test_centers_of_a_region(pair, compatible):
    atoms = random_structure("cubic", "Li20Co20O20")
    centers = Region(0.8, 0.3).contains(atoms)
    assert 10 < centers.sum() < 50
    expected = ase_rdf(atoms, pair, 10, 500, centers)
    result = rdf(atoms, pair, centers=centers, compatible=compatible)
    np.testing.assert_allclose(result, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("compatible", [False, True])
@pytest.mark.parametrize("cell", ["cubic", "skewed"])
def test_invariance(cell, compatible):
    atoms = random_structure(cell)
    random = np.random.default_rng(1)
    pairs = list(combinations_with_replacement(("Co", "Li", "O"), 2))
    expected = partial_rdfs(atoms, pairs, compatible=compatible)
    moved = atoms.copy()
    moved.positions += random.integers(-3, 4, size=(len(atoms), 3)) @ atoms.cell.array + [0.123, -40.0, 7.7]
    other_cell = atoms.copy()
    other_cell.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-2, 1, 1]]) @ atoms.cell.array)
    for same in (moved[random.permutation(len(atoms))], other_cell):
        if same is other_cell and compatible:
            continue  # its rule depends on the choice of the cell
        np.testing.assert_allclose(partial_rdfs(same, pairs, compatible=compatible), expected, rtol=0, atol=ROUNDING)
    if not compatible:
        np.testing.assert_allclose(partial_rdfs(atoms.repeat((2, 1, 3)), pairs), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("shift", np.random.default_rng(2).uniform(size=(20, 3)))
def test_distances_on_the_edge_of_a_bin_do_not_depend_on_rounding(shift):
    atoms = Atoms("Po", cell=[3.0, 3.0, 3.0], pbc=True).repeat(3)  # 3 and 6 Angstrom are edges, and so is r_max
    atoms.positions += 10 * shift
    g = rdf(atoms, r_max=9.0, bins=450)
    counts = g * 4 / 3 * np.pi * np.diff(np.linspace(0, 9, 451) ** 3) / 27
    expected = {150: 6, 300: 6, 449: 6 + 24}  # (3,0,0) and (2,2,1) at the upper edge of the last bin
    np.testing.assert_allclose(counts[list(expected)], list(expected.values()), rtol=1e-10)
    assert (counts[[149, 151, 299, 301]] == 0).all()


@pytest.mark.parametrize("compatible", [False, True])
def test_what_is_missing_is_nan(compatible):
    atoms = random_structure()
    none = np.zeros(len(atoms), dtype=bool)
    assert np.isnan(rdf(atoms, ("Li", "Cl"), compatible=compatible)).all()
    assert np.isnan(rdf(atoms, ("Cl", "Li"), compatible=compatible)).all()
    assert np.isnan(rdf(atoms, centers=none, compatible=compatible)).all()
    assert np.isnan(rdf(Atoms(cell=np.eye(3), pbc=True), compatible=compatible)).all()
    alone = Atoms("He", cell=[30.0] * 3, pbc=True)
    assert (rdf(alone, compatible=compatible) == 0).all()


def test_coincident_atoms_count_at_zero():
    atoms = Atoms("He2", positions=[[1, 1, 1], [1, 1, 1]], cell=[30.0] * 3, pbc=True)
    assert np.flatnonzero(rdf(atoms)).tolist() == [0]


@pytest.mark.parametrize("compatible", [False, True])
def test_what_cannot_be_counted_is_an_error(compatible):
    atoms = random_structure()
    atoms.positions[2, 1] = np.nan
    with pytest.raises(CryinGANError, match="not finite"):
        rdf(atoms, compatible=compatible)
    with pytest.raises(CryinGANError, match="do not lie in a plane"):
        rdf(Atoms("He", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True), compatible=compatible)
