"""Cells of every shape, and a check of neighbour distances against ASE and pymatgen."""

from __future__ import annotations

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from pymatgen.core import Lattice

from cryingan.geometry.distances import neighbor_distances

FLOAT64_ANGSTROM = 1e-10
FLOAT32_ANGSTROM = 1e-5

CELLS = {
    "interface": np.diag([12.3, 17.1, 27.0]),
    "axes by falling length": np.diag([9.0, 7.0, 5.0]),
    "thin": np.diag([2.0, 2.0, 20.0]),
    "very skewed": np.array([[4.0, 0, 0], [10, 4, 0], [0, 0, 4]]),
    "fcc primitive": np.array([[0, 1.8, 1.8], [1.8, 0, 1.8], [1.8, 1.8, 0]]),
    "left-handed": np.array([[0.3, 6, 0.4], [5, 0.2, 0.1], [0.5, 1.5, 7]]),
    "thin, skewed and left-handed": np.array([[1.0, 9.0, 0.3], [2.1, 0.1, 0.0], [0.2, 30.0, 2.9]]),
}


def random_cells(count: int) -> list[np.ndarray]:
    """Triclinic, of either handedness, with heights from a fraction of an Angstrom to tens."""
    rng = np.random.default_rng(1)
    return [rng.normal(size=(3, 3)) * np.exp(rng.uniform(0.5, 2.5, size=(3, 1))) for _ in range(count)]


def ase_neighbors(fractional: np.ndarray, cell: np.ndarray, k: int, cutoff: float) -> np.ndarray:
    atoms = Atoms("H" * len(fractional), cell=cell, scaled_positions=fractional, pbc=True)
    i, found = neighbor_list("id", atoms, cutoff)
    return np.array([np.sort(found[i == atom])[:k] for atom in range(len(fractional))])


def pymatgen_neighbors(fractional: np.ndarray, cell: np.ndarray, k: int, cutoff: float) -> np.ndarray:
    """Points in a sphere, the atom itself taken out: the neighbour list proper drops coincident atoms too."""
    lattice = Lattice(cell)
    centers = fractional @ cell
    found = [
        np.sort(lattice.get_points_in_sphere(fractional, center, cutoff, zip_results=False)[1]) for center in centers
    ]
    return np.array([one[1 : k + 1] for one in found])


def check(fractional: np.ndarray, cell: np.ndarray, k: int, dtype: torch.dtype, tolerance: float) -> None:
    coordinates = torch.tensor(fractional, dtype=dtype)
    ours = neighbor_distances(coordinates, torch.tensor(cell), k)
    assert ours.dtype == dtype
    assert (ours.diff(dim=-1) >= 0).all()
    # ASE takes minutes where a height is far below the cut-off.
    flattest = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    references = (pymatgen_neighbors, ase_neighbors) if flattest > 0.9 else (pymatgen_neighbors,)
    for one, structure in zip(ours.double().numpy(), coordinates.double().numpy(), strict=True):
        for reference in references:
            np.testing.assert_allclose(one, reference(structure, cell, k, one.max() + 0.3), rtol=0, atol=tolerance)
