"""Faces of Voronoi cells as pymatgen's VoronoiNN has them: every cell among the atoms of a sphere around its own.

A cell is an intersection of half-spaces, one for each atom around. By duality its corners are the facets of the convex
hull of the inverted atoms: one small hull for each centre, and no tessellation of a whole sphere.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from ase import Atoms
from scipy.spatial import ConvexHull, QhullError

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import images_within

COINCIDENT = 1e-3
"""Atoms nearer than this are at one place, Angstrom: no plane can be told to lie between them."""
# Inverse distance of a corner, 1/Angstrom, below which it is rounding and the cell is open.
OPEN = 1e-13


class Faces(NamedTuple):
    """Faces of the Voronoi cells of several centres, sorted by centre."""

    centre: np.ndarray
    """Position in the list of centres, shape (faces,)."""
    neighbor: np.ndarray
    """Index of the atom behind the face, shape (faces,)."""
    vector: np.ndarray
    """From the centre to that image of the neighbour, Angstrom, shape (faces, 3)."""
    solid_angle: np.ndarray
    """That the face takes, seen from the centre, steradian, shape (faces,)."""
    area: np.ndarray
    """Of the face, Angstrom^2, shape (faces,)."""


def voronoi_faces(atoms: Atoms, centres: np.ndarray, cutoff: float = 7.0) -> Faces:
    """Faces of the Voronoi cells of some atoms, each among the periodic images within the cutoff of its own atom.

    Where these leave the cell open, as beside a vacuum, the cutoff is doubled until the cell closes. A closed cell
    stays as it is, even if an atom beyond the cutoff would cut it: pymatgen does the same, and these are its numbers.

    Args:
        atoms: structure, periodic along all axes; positions need not be wrapped.
        centres: indices of atoms, shape (centres,).
        cutoff: first radius of the spheres, Angstrom.

    Raises:
        CryinGANError: the structure is not periodic or flat, a position is not finite, two atoms coincide.
    """
    _validate(atoms)
    diagonals = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ atoms.cell.array
    longest = np.linalg.norm(diagonals, axis=1).max() + 0.01
    waiting, parts = np.arange(len(centres)), []
    while True:
        place, neighbor, vector, _ = _surroundings(atoms, centres[waiting], cutoff)
        closed, corners = _closed_cells(np.searchsorted(place, np.arange(len(waiting) + 1)), vector)
        face, solid_angle, area = _measure(*corners, vector)
        parts.append((waiting[place[face]], neighbor[face], vector[face], solid_angle, area))
        if closed.all():
            break
        if cutoff >= longest:
            raise CryinGANError(f"the Voronoi cell of atom {centres[waiting[~closed][0]] + 1} does not close")
        waiting, cutoff = waiting[~closed], min(2 * cutoff, longest + 0.001)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Faces(*(column[order] for column in columns))


def _validate(atoms: Atoms) -> None:
    if not atoms.pbc.all():
        raise CryinGANError(f"the structure must be periodic along all axes; its pbc is {atoms.pbc.tolist()}")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise CryinGANError("a position or a lattice vector is not finite")
    if abs(atoms.cell.volume) < COINCIDENT:
        raise CryinGANError(f"the cell is flat; its volume is {atoms.cell.volume:g} Angstrom^3")
    near = _surroundings(atoms, np.arange(len(atoms)), 1.0)  # a radius that is quick to search
    for first, second, _, distance in zip(*near, strict=True):
        if distance < COINCIDENT:
            pair = f"atoms {first + 1} and {second + 1}"
            raise CryinGANError(f"{pair} coincide ({distance:.2g} Angstrom); move them apart")


def _surroundings(atoms: Atoms, centres: np.ndarray, cutoff: float) -> tuple[np.ndarray, ...]:
    """Place in the list of centres, atom, vector and distance of all others within the cutoff, in order of distance."""
    # The search takes memory by the volume that the atoms span, so they must not be far outside.
    cell = atoms.cell.array
    positions = atoms.get_scaled_positions(wrap=True) @ cell
    place, neighbor, image, distance = images_within(positions[centres], positions, cell, cutoff)
    others = (neighbor != centres[place]) | image.any(axis=1)
    order = np.lexsort((distance, place))
    order = order[others[order]]
    place, neighbor, image = place[order], neighbor[order], image[order]
    vector = positions[neighbor] + image @ cell - positions[centres[place]]
    return place, neighbor, vector, distance[order]


def _closed_cells(bounds: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Which cells close, and all corners of every face: row of the face, shape (corners,), and point, (corners, 3).

    The vectors from the centre of cell i to the atoms around it are rows bounds[i] to bounds[i + 1].
    """
    inverted = 2 * vector / np.einsum("ij,ij->i", vector, vector)[:, None]
    closed = np.zeros(len(bounds) - 1, dtype=bool)
    rows, planes = [np.zeros((0, 3), dtype=int)], [np.zeros((0, 4))]
    for cell, (start, end) in enumerate(pairwise(bounds)):
        try:
            hull = ConvexHull(inverted[start:end])
        except (QhullError, ValueError):  # fewer than four points, or all of them in a plane
            continue
        if hull.equations[:, 3].max() < -OPEN:
            closed[cell] = True
            rows.append(hull.simplices + start)
            planes.append(hull.equations)
    plane = np.concatenate(planes)
    return closed, (np.concatenate(rows).ravel(), np.repeat(-plane[:, :3] / plane[:, 3:], 3, axis=0))


def _measure(row: np.ndarray, point: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows with a face, solid angles and areas, from corners as of `_closed_cells` in any order, some repeated."""
    face, owner, corners = np.unique(row, return_inverse=True, return_counts=True)
    middle = np.stack([np.bincount(owner, point[:, axis], len(face)) for axis in range(3)], axis=1) / corners[:, None]
    normal = vector[face] / np.linalg.norm(vector[face], axis=1, keepdims=True)
    right = np.cross(normal, np.eye(3)[np.abs(normal).argmin(axis=1)])
    up = np.cross(normal, right)
    arm = point - middle[owner]
    angle = np.arctan2(np.einsum("ij,ij->i", arm, up[owner]), np.einsum("ij,ij->i", arm, right[owner]))
    order = np.lexsort((angle, owner))
    following = np.arange(1, len(order) + 1)
    ends = np.cumsum(corners)
    following[ends - 1] = ends - corners
    # Triangles between the middle of a face and its edges; none is turned over, since faces are convex.
    a, b, c = middle[owner[order]], point[order], point[order[following]]
    triangles = _solid_angle(a, b, c), np.linalg.norm(np.cross(b - a, c - a), axis=1)
    solid_angle, twice_area = (np.bincount(owner[order], sizes, len(face)) for sizes in triangles)
    return face, solid_angle, twice_area / 2


def _solid_angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Solid angles of triangles seen from the origin (Van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 125)."""
    lengths = [np.linalg.norm(corner, axis=1) for corner in (a, b, c)]
    products = [np.einsum("ij,ij->i", *pair) for pair in ((b, c), (c, a), (a, b))]
    triple = np.abs(np.einsum("ij,ij->i", a, np.cross(b, c)))
    return 2 * np.arctan2(triple, np.prod(lengths, axis=0) + sum(x * y for x, y in zip(products, lengths, strict=True)))
