"""Neighbours and coordination numbers against pymatgen's CrystalNN."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from pymatgen.analysis.local_env import CrystalNN, VoronoiNN
from pymatgen.io.ase import AseAtomsAdaptor

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.crystal_nn import coordination, solid_angle_neighbors
from cryingan.metrics.motifs.species_pairs import as_species, bond_lengths
from cryingan.metrics.motifs.voronoi import voronoi_faces
from tests.support.motif_structures import IONS, STRUCTURES, at_random, rattled, states_of

SIX = 1e-6
NAMES = ("rock salt", "diamond", "fcc", "hcp", "graphite", "silicon, rattled", "random, dense", "random, sparse")
NAMES += ("random, thin", "slab, rattled", "slab, random", "one atom, skewed", "isolated", "an atom among thirty")


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_pymatgen(atoms, states=None):
    structure = AseAtomsAdaptor.get_structure(atoms)
    if states:
        structure.add_oxidation_state_by_element(
            {element.symbol: states[element.symbol] for element in structure.elements}
        )
    return structure


def neighbors_of(structure, site, entries):
    """Atom indices and vectors of pymatgen's neighbours, in an order that does not depend on theirs."""
    vectors = np.array([entry["site"].coords - structure[site].coords for entry in entries]).reshape(-1, 3)
    return in_order(np.array([entry["site_index"] for entry in entries], dtype=int), vectors)


def in_order(indices, vectors):
    order = np.lexsort((vectors @ [1, np.sqrt(2), np.pi], indices))  # no symmetry makes two of these equal
    return indices[order], vectors[order]


def assert_same_neighbors(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=SIX)


def some(atoms, most=5):
    return np.unique(np.linspace(0, len(atoms) - 1, min(most, len(atoms))).astype(int)).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_every_coordination_number(name):
    atoms, states = STRUCTURES[name], states_of(STRUCTURES[name])
    structure, finder, sites = in_pymatgen(atoms, states), CrystalNN(cation_anion=states is not None), some(atoms)
    found = coordination(atoms, sites, states)
    for place, site in enumerate(sites):
        expected = finder.get_nn_data(structure, site)
        chosen = found.centre == place
        weights = dict(zip(found.number[chosen].tolist(), found.probability[chosen].tolist(), strict=True))
        assert weights == pytest.approx({cn: weight for cn, weight in expected.cn_weights.items() if cn > 0}, abs=SIX)
        for cn in weights:
            rows = slice(found.start[place], found.start[place] + cn)
            ours = in_order(found.neighbor[rows], found.vector[rows])
            # pymatgen may order equal weights otherwise, but these have the same neighbours together.
            assert_same_neighbors(ours, neighbors_of(structure, site, expected.cn_nninfo[cn]))


@pytest.mark.parametrize("name", NAMES)
def test_solid_angle_neighbors(name):
    atoms = STRUCTURES[name]
    structure, found = in_pymatgen(atoms), solid_angle_neighbors(atoms)
    finder = CrystalNN(distance_cutoffs=None, x_diff_weight=0, porous_adjustment=False)
    assert len(found) == len(atoms)
    for site in some(atoms):
        assert_same_neighbors(
            in_order(*found[site]), neighbors_of(structure, site, finder.get_nn_info(structure, site))
        )


def test_solid_angle_neighbors_of_nothing():
    assert solid_angle_neighbors(Atoms(cell=[5] * 3, pbc=True)) == []


def test_known_cells():
    """Rhombic dodecahedron and cube: all faces alike, nothing of planes that only touch the cell."""
    for name, neighbors, area in (("fcc", 12, 3.6**2 / 4 / np.sqrt(2)), ("simple cubic", 6, 3.3**2)):
        faces = voronoi_faces(STRUCTURES[name], np.array([0]))
        real = faces.area > 1e-9
        assert real.sum() == neighbors
        np.testing.assert_allclose(faces.area[real], area, rtol=1e-9)
        np.testing.assert_allclose(faces.solid_angle[real], 4 * np.pi / neighbors, rtol=1e-9)


@pytest.mark.parametrize("name", ["random, dense", "random, sparser", "random, skewed", "slab, random"])
def test_faces_equal_voronoi_nn(name):
    """In the sparser one some cells are open at 7 Angstrom, and at 14 still lack atoms that would cut them."""
    atoms = STRUCTURES[name]
    structure, sites = in_pymatgen(atoms), some(atoms, 12)
    faces = voronoi_faces(atoms, np.array(sites))
    for place, site in enumerate(sites):
        expected = VoronoiNN(cutoff=7, compute_adj_neighbors=False).get_voronoi_polyhedra(structure, site).values()
        expected = sorted((face["area"], face["solid_angle"], 2 * face["face_dist"]) for face in expected)
        of_site = faces.centre == place
        lengths = np.linalg.norm(faces.vector[of_site], axis=1)
        ours = sorted(zip(faces.area[of_site], faces.solid_angle[of_site], lengths, strict=True))
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_cells_fill_space_and_sphere(seed):
    atoms = at_random(25, ("Si",), np.array([[8.0, 0, 0], [3, 7, 0], [-2, 1, 7]]), seed)
    faces = voronoi_faces(atoms, np.arange(25), cutoff=20.0)
    np.testing.assert_allclose(np.bincount(faces.centre, faces.solid_angle), 4 * np.pi, rtol=1e-9)
    height = np.linalg.norm(faces.vector, axis=1) / 2
    assert (faces.area * height / 3).sum() == pytest.approx(abs(atoms.cell.volume), rel=1e-9)


def test_atoms_beside_vacuum_find_the_slab_above():
    """The cell of a surface atom closes with atoms across 15 Angstrom of vacuum, beyond the first cutoff."""
    atoms = STRUCTURES["slab, rattled"]
    faces = voronoi_faces(atoms, np.arange(len(atoms)))
    assert np.linalg.norm(faces.vector, axis=1).max() > 15
    np.testing.assert_allclose(np.bincount(faces.centre, faces.solid_angle), 4 * np.pi, rtol=1e-9)


def test_far_away_atoms_are_wrapped():
    atoms = STRUCTURES["random, dense"]
    far = atoms.copy()
    far.positions[::2] += np.array([10**6, -(10**6), 10**5]) @ atoms.cell.array
    for ours, moved in zip(solid_angle_neighbors(atoms), solid_angle_neighbors(far), strict=True):
        np.testing.assert_array_equal(ours[0], moved[0])
        np.testing.assert_allclose(ours[1], moved[1], atol=1e-6)


@pytest.mark.parametrize(("state", "radius"), [(3, 0.75), (2.5, 0.8175), (2, 0.885), (0, 1.38), (9, None)])
def test_radii(state, radius):
    """Of an ion; between two ions of whole charge; of the atom; the mean ion where the table has none."""
    cobalt, oxygen = as_species(np.array(["Co", "O"]), {"Co": state, "O": -2})
    radius = radius or cobalt.element.average_cationic_radius
    assert bond_lengths([cobalt, oxygen])[0, 1] == pytest.approx(radius + 1.26)


def test_radii_without_oxidation_states_are_covalent():
    (silicon,) = as_species(np.array(["Si"]), None)
    assert bond_lengths([silicon])[0, 0] == pytest.approx(2 * 1.11)


@pytest.mark.parametrize(
    "states", [{"Co": 2.5, "O": -2, "Li": 1}, {"Co": 0, "O": 0, "Li": 0}, {"Co": 9, "O": -1, "Li": 0}]
)
def test_unusual_oxidation_states(states):
    atoms = rattled(STRUCTURES["LiCoO2"], 0.1)
    structure, finder = in_pymatgen(atoms, states), CrystalNN(cation_anion=True)
    found = coordination(atoms, [0, 5, 9], states)
    for place, site in enumerate([0, 5, 9]):
        chosen = found.centre == place
        weights = dict(zip(found.number[chosen].tolist(), found.probability[chosen].tolist(), strict=True))
        expected = finder.get_nn_data(structure, site).cn_weights
        assert weights == pytest.approx({cn: weight for cn, weight in expected.items() if cn > 0}, abs=SIX)


def test_no_centres_and_missing_states():
    assert len(coordination(STRUCTURES["rock salt"], [], IONS).number) == 0
    with pytest.raises(CryinGANError, match="no oxidation state given for Si"):
        coordination(STRUCTURES["diamond"], [0], IONS)
