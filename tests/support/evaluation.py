"""Small structures for the three benchmarks, and the tables that an evaluation writes."""

import csv

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

from cryingan.metrics.alloy.fcc import fcc_sites

QUIET = {"progress": False, "processes": 1}


def silicon(structures, noise, seed=0, cells=1):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(structures):
        atoms = bulk("Si", cubic=True) * (1, 1, cells)
        atoms.positions += rng.normal(0, noise, atoms.positions.shape)
        made.append(atoms)
    return made


def alloy(structures, seed=0, vacancies=0, repeats=2):
    rng = np.random.default_rng(seed)
    sites, edge = fcc_sites(repeats), 3.6 * repeats
    kinds = np.repeat(["Cr", "Fe", "Ni"], np.array([7, 19, 6]) * len(sites) // 32)
    made = []
    for _ in range(structures):
        chosen = rng.permutation(len(sites))[vacancies:]
        positions = sites[chosen] * edge + rng.normal(0, 0.05, (len(chosen), 3))
        made.append(Atoms(rng.permutation(kinds)[vacancies:], positions=positions, cell=np.eye(3) * edge, pbc=True))
    return made


def interface(structures, seed=0, shift=0.0):
    """Rock salt with Li, Sc and Co, Cl below O."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(structures):
        atoms = bulk("LiCl", "rocksalt", a=4.8, cubic=True) * (2, 1, 2)
        symbols = np.array(atoms.get_chemical_symbols())
        high = atoms.get_scaled_positions()[:, 2] > 0.45
        symbols[(symbols == "Cl") & high] = "O"
        cations = np.flatnonzero(symbols == "Li")
        symbols[rng.permutation(cations)[:4]] = ["Sc", "Sc", "Co", "Co"]
        atoms.symbols[:] = symbols
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape) + shift
        made.append(atoms)
    return made


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(path):
    return np.array([[float(value) for value in row.values()] for row in table(path)])


def saved(atoms, path):
    write(path, atoms, format="extxyz")
    return path


SETS = {"silicon": (silicon, 0.1), "alloy": (alloy,), "interface": (interface,)}


def sets(kind, structures, seed):
    make, *arguments = SETS[kind]
    return make(structures, *arguments, seed=seed)
