"""Alloy structures for the tests, the numbers of the benchmark's reference, and clusters counted by other ways."""

from itertools import product

import ase
import numpy as np
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from cryingan.metrics.alloy.fcc import PAIR_NAMES, SPECIES, VACANCY, fcc_sites
from tests.support.paths import SHARED

REFERENCE = SHARED / "reference/alloy_ref_struc.extxyz"
ROUNDED = 0.51e-5  # counts known to five decimals
PRINTED = 0.51e-6  # SRO known to six decimals
EXACT = 1e-12
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


def alloy_atoms(occupied, repeats=4, constant=3.6, origin=0.0):
    """Atoms on the sites that are not vacant, sorted by species."""
    order = np.argsort(occupied, kind="stable")
    order = order[occupied[order] != VACANCY]
    symbols = [SPECIES[kind] for kind in occupied[order]]
    sites = fcc_sites(repeats, origin)[order]
    return ase.Atoms(symbols, scaled_positions=sites, cell=repeats * constant * np.eye(3), pbc=True)


def rattled(atoms, sigma=0.1, seed=0):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, sigma, moved.positions.shape)
    return moved


def turned_lattice(degrees, seed=0):
    """What a lattice about a corner of the benchmark's cell, turned, has inside that cell."""
    rotation = Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, 0.64, 0.48])).as_matrix()
    positions = (fcc_sites(12, 0.0) * 43.2 - 21.6) @ rotation + 7.2
    positions = positions[((positions > 0) & (positions < 14.4)).all(axis=1)]
    symbols = np.array(SPECIES)[np.random.default_rng(seed).integers(0, 3, len(positions))]
    return ase.Atoms(symbols, positions=positions, cell=14.4 * np.eye(3), pbc=True), rotation


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


def counts_of(occupied):
    return ase_counts(alloy_atoms(occupied))


def loop_counts(atoms, axes, decimals=None, lengths=False):
    """Clusters per atom by definition, in plain loops for a cell with right angles; and whether a point is empty.

    With lengths, a vector keeps the length that it has in an ideal lattice of 3.6 Angstrom.
    """
    half = sorted(set(product(range(-3, 4), repeat=3)), key=lambda v: np.dot(v, v))
    edges = atoms.cell.lengths()
    symbols = atoms.get_chemical_symbols()
    pairs = {(shell, name): 0 for shell in range(7) for name in PAIR_NAMES}
    empty = False
    for vector in half:
        shell = np.flatnonzero(np.abs(1.8 * np.linalg.norm(vector) - DISTANCES) < 0.01)
        if len(shell) == 0 or sum(vector) % 2:
            continue
        step = np.array(vector) / 2 @ axes
        step *= 1.8 * np.linalg.norm(vector) / np.linalg.norm(step) if lengths else 1
        for atom, position in enumerate(atoms.positions):
            point = (position + step) / edges
            point = point.round(decimals) if decimals else point
            offset = atoms.positions / edges - point
            distance = np.linalg.norm((offset - offset.round()) * edges, axis=1)
            if distance.min() <= 0.8:
                pairs[shell[0], "-".join(sorted((symbols[atom], symbols[distance.argmin()])))] += 1
            elif shell[0] == 0:
                empty = True
    points = [symbols.count(symbol) for symbol in SPECIES]
    return np.array([*points, *(count / 2 for count in pairs.values())]) / len(atoms), empty
