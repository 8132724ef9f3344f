"""Fingerprints against matminer, and against CrystalNN and LocalStructOrderParams put together here."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from pymatgen.analysis.local_env import CN_OPT_PARAMS, CrystalNN, LocalStructOrderParams
from pymatgen.io.ase import AseAtomsAdaptor

from cryingan.errors import CryinGANError
from cryingan.metrics.motifs.fingerprints import (
    MOTIF_NAMES,
    MotifSettings,
    feature_names,
    fingerprints,
)
from tests.support.motif_structures import (
    CATIONS,
    INTERFACE_FILES,
    IONS,
    REFERENCE,
    STRUCTURES,
    at_random,
    described,
    interface,
    rattled,
    states_of,
)

EXACT = 1e-6
ANIONS = ("Cl", "O")
INTERFACE = MotifSettings(CATIONS, IONS, ANIONS)
SILICON = MotifSettings(("Si",))
OPS = {
    1: ["sgl_bd"],
    2: ["L-shaped", "water-like", "bent 120 degrees", "bent 150 degrees", "linear"],
    3: ["trigonal planar", "trigonal non-coplanar", "T-shaped"],
    4: ["square co-planar", "tetrahedral", "rectangular see-saw-like", "see-saw-like", "trigonal pyramidal"],
    5: ["pentagonal planar", "square pyramidal", "trigonal bipyramidal"],
    6: ["hexagonal planar", "octahedral", "pentagonal pyramidal"],
    7: ["hexagonal pyramidal", "pentagonal bipyramidal"],
    8: ["body-centered cubic", "hexagonal bipyramidal"],
    **{cn: ["q2", "q4", "q6"] for cn in (9, 10, 11)},
    12: ["cuboctahedral", "q2", "q4", "q6"],
}
LABELS = [f"{op} CN_{cn}" for cn in range(1, 25) for op in ["wt", *OPS.get(cn, [])]]


@pytest.fixture(autouse=True)
def quiet():
    """pymatgen warns of missing oxidation states and radii."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sites_of(atoms, most=6):
    """Some sites spread over the described species."""
    wanted = np.flatnonzero(np.isin(atoms.get_chemical_symbols(), described(atoms)))
    return wanted[np.unique(np.linspace(0, len(wanted) - 1, min(most, len(wanted))).round().astype(int))].tolist()


def rows_of(atoms, sites):
    """Our fingerprints of sites."""
    settings = MotifSettings(described(atoms), states_of(atoms), ANIONS)
    found, symbols = fingerprints(atoms, settings), np.array(atoms.get_chemical_symbols())
    return np.array([found[symbols[site]][(symbols[:site] == symbols[site]).sum()] for site in sites])


def in_pymatgen(atoms):
    structure = AseAtomsAdaptor.get_structure(atoms)
    if states_of(atoms):
        structure.add_oxidation_state_by_element(
            {element.symbol: IONS[element.symbol] for element in structure.elements}
        )
    return structure


def from_pymatgen(atoms, sites):
    """The fingerprint as matminer and docs/dismai_bench.md define it, from pymatgen's classes."""
    structure, finder = in_pymatgen(atoms), CrystalNN(cation_anion=states_of(atoms) is not None)
    rows = []
    for site in sites:
        data = finder.get_nn_data(structure, site)
        features, fractions = dict.fromkeys(LABELS, 0.0), np.zeros((24, 2))
        for cn, weight in data.cn_weights.items():
            if not 1 <= cn <= 24:
                continue
            features[f"wt CN_{cn}"] = weight
            neighbors = [entry["site"] for entry in data.cn_nninfo[cn]]
            fractions[cn - 1] = [sum(one.specie.symbol == anion for one in neighbors) / cn for anion in ANIONS]
            for op in OPS.get(cn, []):
                kind, *parameters = CN_OPT_PARAMS.get(cn, {}).get(op, [op])
                order = LocalStructOrderParams([kind], parameters=parameters or None)
                (value,) = order.get_order_parameters([structure[site], *neighbors], 0, list(range(1, cn + 1)))
                features[f"{op} CN_{cn}"] = weight * (value or 0)
        rows.append([*features.values(), *fractions.ravel()])
    return np.array(rows)


@pytest.mark.parametrize("name", STRUCTURES)
def test_equal_to_pymatgen(name):
    atoms = STRUCTURES[name]
    sites = sites_of(atoms)
    np.testing.assert_allclose(rows_of(atoms, sites), from_pymatgen(atoms, sites), atol=EXACT, rtol=0)


@pytest.mark.parametrize("name", STRUCTURES)
def test_equal_to_matminer(name):
    site = pytest.importorskip("matminer.featurizers.site", reason="matminer is not installed")
    atoms = STRUCTURES[name]
    sites, structure = sites_of(atoms, 2), in_pymatgen(atoms)
    featurizer = site.CrystalNNFingerprint.from_preset("ops", cation_anion=states_of(atoms) is not None)
    assert tuple(featurizer.feature_labels()) == feature_names(SILICON)
    expected = [featurizer.featurize(structure, index) for index in sites]
    np.testing.assert_allclose(rows_of(atoms, sites)[:, :61], expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("displacement", [0, 0.3])
@pytest.mark.parametrize("name", INTERFACE_FILES)
def test_interfaces_equal_pymatgen(name, displacement):
    if not (REFERENCE / name).exists():
        pytest.skip(f"the reference data have no {name} here")
    atoms = rattled(interface(name), displacement)
    sites = sites_of(atoms, 15)
    np.testing.assert_allclose(rows_of(atoms, sites), from_pymatgen(atoms, sites), atol=EXACT, rtol=0)


def test_there_are_enough_structures():
    assert len(STRUCTURES) > 30
    numbers = {cn for atoms in STRUCTURES.values() for cn in numbers_of(atoms)}
    assert set(range(1, 13)) <= numbers, "every coordination number with motifs is compared"


def numbers_of(atoms):
    """Coordination numbers that have a weight at the compared sites."""
    weights = rows_of(atoms, sites_of(atoms))[:, [LABELS.index(f"wt CN_{cn}") for cn in range(1, 25)]]
    return set((np.flatnonzero(weights.any(axis=0)) + 1).tolist())


def test_names():
    assert feature_names(SILICON) == tuple(LABELS)
    names = feature_names(INTERFACE)
    assert len(names) == 109
    assert names[61:65] == tuple(f"{anion} fraction coord num {cn}" for cn in (1, 2) for anion in ANIONS)
    assert len(MOTIF_NAMES) == 37


SILICON_FEATURES = {
    "wt CN_4": 1,
    "tetrahedral CN_4": 1,
    "trigonal pyramidal CN_4": 0.245210,
    "see-saw-like CN_4": 0.234254,
    "square co-planar CN_4": 0.079968,
    "rectangular see-saw-like CN_4": 0.007025,
}
OCTAHEDRON = {"wt CN_6": 1, "octahedral CN_6": 1, "pentagonal pyramidal CN_6": 0.5, "hexagonal planar CN_6": 0.200068}


@pytest.mark.parametrize(
    ("name", "species", "expected"),
    [
        ("diamond", "Si", SILICON_FEATURES),
        ("rock salt", "Li", OCTAHEDRON | {"Cl fraction coord num 6": 1}),
        ("antifluorite", "Li", SILICON_FEATURES | {"O fraction coord num 4": 1}),
    ],
)
def test_known_motifs(name, species, expected):
    """Every number that is not listed is 0."""
    settings = INTERFACE if species == "Li" else SILICON
    listed = [expected.get(feature, 0) for feature in feature_names(settings)]
    for row in fingerprints(STRUCTURES[name], settings)[species]:
        np.testing.assert_allclose(row, listed, atol=0.51e-6)


def test_known_octahedra_of_a_layered_oxide():
    found = fingerprints(STRUCTURES["LiCoO2"], INTERFACE)
    column = feature_names(INTERFACE).index("octahedral CN_6")
    np.testing.assert_allclose(found["Li"][:, column], 0.923114, atol=0.51e-6)
    np.testing.assert_allclose(found["Co"][:, column], 0.880439, atol=0.51e-6)


@pytest.mark.parametrize("name", ["salt, rattled", "random, skewed", "random, few atoms", "random, silicon"])
def test_invariances(name):
    """Translation, periodic image, choice of lattice vectors, rotation, order of atoms."""
    atoms, rng = STRUCTURES[name], np.random.default_rng(3)
    settings = MotifSettings(described(atoms), states_of(atoms), ANIONS)
    found = fingerprints(atoms, settings)
    moved = atoms.copy()
    moved.positions += [12.3, -4.5, 6.7] + rng.integers(-3, 4, atoms.positions.shape) @ atoms.cell.array
    sheared = atoms.copy()
    sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ atoms.cell.array)
    turned = atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    for same in (moved, sheared, turned):
        for species, rows in fingerprints(same, settings).items():
            np.testing.assert_allclose(rows, found[species], atol=EXACT)
    order = rng.permutation(len(atoms))
    symbols = np.array(atoms.get_chemical_symbols())
    for species, rows in fingerprints(atoms[order], settings).items():
        places = order[symbols[order] == species]
        np.testing.assert_allclose(
            rows, found[species][np.searchsorted(np.flatnonzero(symbols == species), places)], atol=EXACT
        )


def test_supercell_repeats_the_fingerprints():
    atoms = at_random(20, ("Si",), np.diag([7.0, 8, 7]))
    (rows,), (larger,) = fingerprints(atoms, SILICON).values(), fingerprints(atoms * (2, 1, 1), SILICON).values()
    np.testing.assert_allclose(larger, np.tile(rows, (2, 1)), atol=EXACT)


def test_missing_species_has_no_rows():
    found = fingerprints(STRUCTURES["rock salt"], INTERFACE)
    assert {species: rows.shape for species, rows in found.items()} == {"Li": (1, 109), "Co": (0, 109), "Sc": (0, 109)}
    nothing = Atoms(cell=[5] * 3, pbc=True)
    assert fingerprints(nothing, SILICON)["Si"].shape == (0, 61)


@pytest.mark.parametrize(
    "atoms",
    [
        STRUCTURES["isolated"],
        STRUCTURES["isolated ions"],
        Atoms("Li3", [(0, 0, 0), (2, 0, 0), (0, 2, 0)], cell=[5] * 3, pbc=True),  # no anion: pymatgen raises
        at_random(6, ("Li", "Co", "Sc", "O", "Cl"), np.diag([30.0, 34, 28])),  # hardly an atom in reach: it raises, too
    ],
)
def test_atoms_without_neighbors_have_zeros(atoms):
    found = fingerprints(atoms, MotifSettings(described(atoms), states_of(atoms), ANIONS))
    assert sum(len(rows) for rows in found.values()) > 0
    for rows in found.values():
        np.testing.assert_array_equal(rows, 0)


def broken(**change):
    atoms = STRUCTURES["diamond, 64 atoms"].copy()
    for name, value in change.items():
        setattr(atoms, name, value)
    return atoms


def with_position(atom, position):
    atoms = broken()
    atoms.positions[atom] = position
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (with_position(3, broken().positions[5]), "atoms 4 and 6 coincide"),
        (with_position(3, broken().positions[5] - broken().cell[0] + 2 * broken().cell[2]), "atoms 4 and 6 coincide"),
        (with_position(63, broken().positions[0] + 5e-4), "atoms 1 and 64 coincide"),
        (with_position(3, np.nan), "not finite"),
        (with_position(3, np.inf), "not finite"),
        (broken(pbc=(True, True, False)), "periodic"),
        (broken(cell=np.diag([10.0, 10, 0])), "flat"),
        (Atoms("X", cell=[5] * 3, pbc=True), "not an element"),
    ],
)
def test_what_cannot_be_described(atoms, message):
    settings = MotifSettings(("Si", "X"))
    with pytest.raises(CryinGANError, match=message) as error:
        fingerprints(atoms, settings)
    assert "\n" not in str(error.value)


def test_oxidation_states_are_complete():
    with pytest.raises(CryinGANError, match="no oxidation state given for Cl"):
        fingerprints(STRUCTURES["rock salt"], MotifSettings(("Li",), {"Li": 1}))
