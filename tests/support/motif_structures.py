"""Structures whose motifs the tests compare with pymatgen and matminer."""

from __future__ import annotations

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from tests.support.paths import SHARED

REFERENCE = SHARED / "reference"
INTERFACE_FILES = ("lsc_lco_264_unrelaxed.extxyz", "li2o_licl_84_sample.extxyz")
IONS = {"Li": 1, "Sc": 3, "Co": 3, "Cl": -1, "O": -2}
CATIONS = ("Li", "Co", "Sc")


def crystals() -> dict[str, Atoms]:
    """Ordered crystals, primitive and not."""
    cubic, hexagonal = [90, 90, 90], [90, 90, 120]
    antifluorite = crystal(["Li", "O"], [(0.25,) * 3, (0, 0, 0)], spacegroup=225, cellpar=[4.62] * 3 + cubic)
    layered = crystal(
        ["Li", "Co", "O"], [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2396)], spacegroup=166,
        cellpar=[2.816, 2.816, 14.054, *hexagonal],
    )  # fmt: skip
    rutile = crystal(["Co", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.5, 4.5, 2.9, *cubic])
    arsenide = crystal(
        ["Co", "O"], [(0, 0, 0), (1 / 3, 2 / 3, 0.25)], spacegroup=194, cellpar=[3.0, 3.0, 5.0, *hexagonal]
    )
    perovskite = crystal(
        ["Li", "Sc", "O"], [(0.5,) * 3, (0, 0, 0), (0.5, 0, 0)], spacegroup=221, cellpar=[4.0] * 3 + cubic
    )
    graphite = crystal(
        ["C", "C"], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], spacegroup=194, cellpar=[2.46, 2.46, 6.7, *hexagonal]
    )
    return {
        "rock salt": bulk("LiCl", "rocksalt", 5.13),
        "rock salt, 64 atoms": bulk("LiCl", "rocksalt", 5.13, cubic=True) * 2,
        "antifluorite": antifluorite,
        "LiCoO2": layered,
        "diamond": bulk("Si", "diamond", 5.431),
        "diamond, 64 atoms": bulk("Si", "diamond", 5.431, cubic=True) * 2,
        "fcc": bulk("Cu", "fcc", 3.6),
        "fcc, 32 atoms": bulk("Cu", "fcc", 3.6, cubic=True) * 2,
        "bcc": bulk("Fe", "bcc", 2.87, cubic=True) * 2,
        "simple cubic": bulk("Po", "sc", 3.3),
        "hcp": bulk("Mg", "hcp", 3.2, 5.2),
        "hcp, ideal": bulk("Mg", "hcp", 3.2, 3.2 * np.sqrt(8 / 3)),
        "caesium chloride": bulk("LiCl", "cesiumchloride", 3.2),
        "zincblende": bulk("LiCl", "zincblende", 5.5),
        "wurtzite": bulk("LiCl", "wurtzite", 3.8, 6.2),
        "rutile": rutile,
        "nickel arsenide": arsenide,
        "perovskite": perovskite,
        "graphite": graphite,
    }


def rattled(atoms: Atoms, displacement: float, seed: int = 0) -> Atoms:
    """A copy whose atoms moved at random, Angstrom."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, displacement, moved.positions.shape)
    return moved


def at_random(atoms: int, species: tuple[str, ...], cell: np.ndarray, seed: int = 0) -> Atoms:
    """Atoms anywhere in a cell, no two of them very close, sorted by species."""
    rng = np.random.default_rng(seed)
    symbols = sorted((species * atoms)[:atoms])
    while True:
        made = Atoms(symbols, scaled_positions=rng.random((atoms, 3)), cell=cell, pbc=True)
        if made.get_all_distances(mic=True)[np.triu_indices(atoms, 1)].min(initial=9) > 0.3:
            return made


def slab(atoms: Atoms, vacuum: float) -> Atoms:
    """A copy with so much vacuum above and below, Angstrom."""
    made = atoms.copy()
    made.center(vacuum=vacuum, axis=2)
    return made


def disordered() -> dict[str, Atoms]:
    """Everything but ordered crystals: rattled, random, slabs, cells in which atoms neighbour their own images."""
    ordered, ions = crystals(), ("Li", "Co", "Sc", "O", "Cl", "O", "Cl")
    salt, skewed = ordered["rock salt, 64 atoms"], np.array([[8, 0, 0], [7, 6, 0], [-6, 5, 9]])
    return {
        "salt, rattled": rattled(salt, 0.1),
        "antifluorite, rattled": rattled(ordered["antifluorite"], 0.2),
        "LiCoO2, rattled": rattled(ordered["LiCoO2"] * (2, 2, 1), 0.15),
        "silicon, rattled": rattled(ordered["diamond, 64 atoms"], 0.2),
        "fcc, rattled": rattled(ordered["fcc, 32 atoms"], 0.1),
        "bcc, rattled": rattled(ordered["bcc"], 0.1),
        "random, dense": at_random(40, ions, np.diag([6.0, 7, 8])),
        "random, sparse": at_random(20, ions, np.diag([15.0, 14, 18])),
        "random, sparser": at_random(60, ("Si",), np.diag([24.0, 24, 26.4]), 7),
        "random, skewed": at_random(30, ions, skewed),
        "random, left-handed": at_random(30, ions, skewed[[1, 0, 2]], 1),
        "random, few atoms": at_random(5, ions, np.diag([2.5, 3, 3.5])),
        "random, silicon": at_random(30, ("Si",), np.diag([8.0, 8, 9])),
        "random, thin": at_random(10, ("Si",), np.array([[3.0, 0, 0], [0, 40, 0], [1, 2, 3]])),
        "slab": slab(salt, 7.5),
        "slab, rattled": slab(rattled(salt, 0.1), 7.5),
        "slab, coordinates of four decimals": Atoms(
            salt.symbols, slab(salt, 7.5).positions.round(4), cell=slab(salt, 7.5).cell, pbc=True
        ),
        "slab, random": slab(at_random(40, ions, np.diag([9.0, 9, 8])), 8),
        "one atom": Atoms("Si", cell=[2.3, 2.5, 2.9], pbc=True),
        "one atom, skewed": Atoms("Si", cell=[[2.9, 0, 0], [2.2, 2.6, 0], [1.9, -1.8, 3.1]], pbc=True),
        "isolated": Atoms("Si2", [(0, 0, 0), (6.5,) * 3], cell=[13] * 3, pbc=True),
        "isolated ions": Atoms("LiCl", [(0, 0, 0), (6.5,) * 3], cell=[13] * 3, pbc=True),
        "an atom among thirty": among_thirty(),
    }


def among_thirty() -> Atoms:
    """An atom with more neighbours than there are features for: thirty on a sphere."""
    index = np.arange(30) + 0.5
    polar, azimuth = np.arccos(1 - 2 * index / 30), np.pi * (1 + 5**0.5) * index
    sphere = np.stack([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)], axis=1)
    return Atoms("Si31", [(6, 6, 6), *(6 + 2.7 * sphere)], cell=[12] * 3, pbc=True)


def states_of(atoms: Atoms) -> dict[str, int] | None:
    """Oxidation states for structures of ions."""
    return IONS if set(atoms.symbols) <= set(IONS) else None


def described(atoms: Atoms) -> tuple[str, ...]:
    """Species whose motifs are compared."""
    return CATIONS if states_of(atoms) else tuple(sorted(set(atoms.symbols)))


def interface(name: str) -> Atoms:
    """First structure of a reference file."""
    return ase.io.read(REFERENCE / name, index=0)


STRUCTURES = {**crystals(), **disordered()}
