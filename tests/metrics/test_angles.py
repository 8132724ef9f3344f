"""Bond angles against a plain loop, ASE's angles, pymatgen's CrystalNN and crystals known by heart."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from pymatgen.analysis.local_env import CrystalNN
from pymatgen.io.ase import AseAtomsAdaptor

from cryingan.errors import CryinGANError
from cryingan.metrics.angles import (
    angle_histogram,
    bin_centers,
    bond_angle_histogram,
    bond_angles,
)
from cryingan.metrics.bootstrap import distance_of_means

TETRAHEDRAL = np.degrees(np.arccos(-1 / 3))


def within(atoms, cutoff):
    """Vectors to the neighbours of each atom within a cutoff, from ASE."""
    first, vectors = neighbor_list("iD", atoms, cutoff)
    return [vectors[first == atom] for atom in range(len(atoms))]


def amorphous(seed=0, atoms=32):
    """A rattled diamond with a few atoms taken away."""
    structure = bulk("Si", "diamond", a=5.431, cubic=True).repeat((2, 2, 1))
    structure.rattle(0.35, seed=seed)
    return structure[: atoms - seed % 3]


def by_crystal_nn(atoms):
    """Angles of Dismai-Bench's neighbours, pair by pair with ASE."""
    finder = CrystalNN(distance_cutoffs=None, x_diff_weight=0, porous_adjustment=False)
    structure = AseAtomsAdaptor.get_structure(atoms)
    values = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, site in enumerate(structure):
            ends = [info["site"].coords - site.coords for info in finder.get_nn_info(structure, index)]
            for i, first in enumerate(ends):
                for second in ends[:i]:
                    triple = Atoms("He3", positions=[first, [0, 0, 0], second])
                    values.append(triple.get_angle(0, 1, 2))
    return np.array(values)


def right_closed(values):
    """Shares by the definition of the bins, one comparison per edge."""
    edges = np.arange(361) * 0.5
    inside = (values[:, None] > edges[:-1]) & (values[:, None] <= edges[1:])
    inside[values == 0, 0] = True
    return inside.sum(axis=0) / len(values)


def test_diamond():
    histogram = bond_angle_histogram(bulk("Si", "diamond", a=5.431, cubic=True))
    assert np.flatnonzero(histogram).tolist() == [218]
    assert histogram[218] == 1
    assert bin_centers()[218] == 109.25
    values = bond_angles(within(bulk("Si", "diamond", a=5.431, cubic=True), 2.5))
    assert len(values) == 6 * 8
    np.testing.assert_allclose(values, TETRAHEDRAL, rtol=0, atol=1e-9)


def test_diamond_to_fcc_by_hand():
    fcc = angle_histogram(within(bulk("Cu", "fcc", a=3.6), 2.6))
    shares = {119: 24 / 66, 179: 12 / 66, 239: 24 / 66, 359: 6 / 66}  # 60, 90, 120 and 180 degrees
    assert dict(zip(np.flatnonzero(fcc).tolist(), fcc[fcc > 0], strict=True)) == pytest.approx(shares, abs=1e-15)
    diamond = bond_angle_histogram(bulk("Si", "diamond", a=5.431, cubic=True))
    expected = np.sqrt(1 + (24**2 + 12**2 + 24**2 + 6**2) / 66**2)
    assert distance_of_means(diamond[None], fcc[None]).value == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_of_dismai_bench(seed):
    atoms = amorphous(seed)
    expected = by_crystal_nn(atoms)
    assert len(expected) > 100
    np.testing.assert_allclose(bond_angle_histogram(atoms), right_closed(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("cutoff", [2.5, 3.0, 4.5])
def test_all_pairs_of_neighbours(cutoff):
    atoms = amorphous()
    expected = []
    for vectors in within(atoms, cutoff):
        for i, u in enumerate(vectors):
            cosines = [u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in vectors[:i]]
            expected += [np.degrees(np.arccos(np.clip(cosine, -1, 1))) for cosine in cosines]
    values = bond_angles(within(atoms, cutoff))
    np.testing.assert_allclose(np.sort(values), np.sort(expected), rtol=0, atol=1e-5)
    np.testing.assert_allclose(angle_histogram(within(atoms, cutoff)), right_closed(np.array(expected)), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.5, 60.0, 90.0, 109.5, 120.0, 179.5, 180.0])
def test_edges_hold_whatever_rounding_does(angle):
    random = np.random.default_rng(3)
    for _ in range(50):
        u, normal = np.linalg.qr(random.normal(size=(3, 3)))[0][:2]
        v = np.cos(np.radians(angle)) * u + np.sin(np.radians(angle)) * normal
        pair = np.stack([u * 2.35, v * 2.4]).round(8)
        histogram = angle_histogram([pair])
        assert np.flatnonzero(histogram).tolist() == [max(0, round(angle / 0.5) - 1)]


@pytest.mark.parametrize(
    "lattice", [bulk("Po", "sc", a=3.0), bulk("Cu", "fcc", a=3.6), bulk("Fe", "bcc", a=2.87), bulk("Mg", a=3.2, c=5.2)]
)
def test_crystals_do_not_depend_on_where_they_lie(lattice):
    random = np.random.default_rng(4)
    distance = np.sort(lattice.repeat(4).get_all_distances(mic=True)[0])[1] * 1.05
    expected = angle_histogram(within(lattice, distance))
    atoms = lattice.repeat(3)
    for _ in range(5):
        atoms.positions = atoms.positions[random.permutation(len(atoms))] + 5 * random.normal(size=3)
        np.testing.assert_allclose(angle_histogram(within(atoms, distance)), expected, rtol=0, atol=1e-14)


def test_invariance_of_the_whole():
    atoms = amorphous()
    expected = bond_angle_histogram(atoms)
    random = np.random.default_rng(5)
    moved = atoms[random.permutation(len(atoms))]
    moved.positions += random.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array + [0.1, 7.3, -20.0]
    other_cell = atoms.copy()
    other_cell.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ atoms.cell.array)
    for same in (moved, other_cell, atoms.repeat((1, 1, 2))):
        np.testing.assert_allclose(bond_angle_histogram(same), expected, rtol=0, atol=1e-12)


def test_no_angle_is_a_structure_all_the_same():
    nothing = angle_histogram([np.empty((0, 3)), np.ones((1, 3))])
    none_at_all = angle_histogram([])
    for histogram in (nothing, none_at_all):
        assert histogram.shape == (360,)
        assert (histogram == 0).all()
    one = np.eye(360)[218]
    assert distance_of_means(np.stack([nothing, one]), one[None]).value == 0.5


def test_coincident_neighbour_takes_no_part():
    vectors = np.array([[0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    np.testing.assert_allclose(bond_angles([vectors]), [90.0])
    broken = Atoms("Si2", positions=[[0, 0, 0], [np.nan, 0, 0]], cell=[5, 5, 5], pbc=True)
    with pytest.raises(CryinGANError):
        bond_angle_histogram(broken)
