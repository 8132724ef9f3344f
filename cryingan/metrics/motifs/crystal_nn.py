"""Coordination numbers and neighbours of pymatgen's CrystalNN, for many atoms of a structure at once.

The weights of the faces of an atom's Voronoi cell give every coordination number a probability (Pan et al., Inorg.
Chem. 60, 1590 (2021)). The numbers are pymatgen's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from cryingan.metrics.motifs.species_pairs import allowed_pairs, as_species, bond_lengths, electronegativity_factors
from cryingan.metrics.motifs.voronoi import Faces, voronoi_faces

DISTANCE_CUTOFFS = (0.5, 1.0)
"""Beyond the sum of radii, Angstrom: between them a weight falls from its full value to nothing."""
DECIMALS = 3
"""Decimals to which weights are rounded, so that equal neighbours count as equal."""
NO_FACE = 1e-12
"""Faces up to this area, Angstrom^2, are rounding: planes that touch a cell at an edge or at a corner."""


class Coordination(NamedTuple):
    """Neighbours of several centres and the coordination numbers (CN) that they allow.

    The neighbours of centre i are rows start[i] to start[i + 1], the heaviest first; those of its CN n are the first n.
    """

    start: np.ndarray
    """First row of each centre, and the number of rows, shape (centres + 1,)."""
    neighbor: np.ndarray
    """Atom index, shape (rows,)."""
    vector: np.ndarray
    """From the centre to the neighbour, Angstrom, shape (rows, 3)."""
    centre: np.ndarray
    """Centre of each possible CN, ascending, shape (possible,)."""
    number: np.ndarray
    """The CN, at least 1, ascending within a centre, shape (possible,)."""
    probability: np.ndarray
    """Of that CN, shape (possible,); what is missing to 1 is the probability that the centre has no neighbour."""


def coordination(
    atoms: Atoms, centres: Sequence[int], oxidation_states: Mapping[str, float] | None = None
) -> Coordination:
    """CrystalNN's neighbours, with pymatgen's default settings.

    A centre without an atom within the cutoffs has no neighbour; nor has one without an ion of opposite charge, where
    pymatgen raises an error.

    Args:
        atoms: structure, periodic along all axes; positions need not be wrapped.
        centres: indices of atoms.
        oxidation_states: of every element of the structure; neighbours are then of opposite or no charge (CrystalNN's
            cation_anion) and distances are judged by ionic radii, otherwise by covalent radii.

    Raises:
        CryinGANError: an element has no oxidation state, or one of `voronoi_faces`.
    """
    centres = np.asarray(centres, dtype=int)
    elements, element = np.unique(atoms.get_chemical_symbols(), return_inverse=True)
    species = as_species(elements, oxidation_states)
    faces = voronoi_faces(atoms, centres)
    pair = element[centres][faces.centre], element[faces.neighbor]
    allowed = allowed_pairs(species)[pair] & (faces.area > NO_FACE)
    faces = Faces(*(column[allowed] for column in faces))
    pair = pair[0][allowed], pair[1][allowed]
    # The second factor corrects for pores: it is large for near faces.
    weight = faces.solid_angle**2 / faces.area * electronegativity_factors(species)[pair]
    weight = _relative(faces.centre, weight, len(centres))
    bonded = weight * _distance_factor(faces.vector, bond_lengths(species)[pair])
    return _coordination(faces, weight, bonded, len(centres))


def solid_angle_neighbors(atoms: Atoms) -> list[tuple[np.ndarray, np.ndarray]]:
    """Neighbours of every atom at its most probable CN by solid angles alone, for bond angles.

    Those of pymatgen's CrystalNN(distance_cutoffs=None, x_diff_weight=0, porous_adjustment=False): for each atom the
    indices, shape (neighbours,), and the vectors to them, Angstrom, (neighbours, 3), the largest solid angles first.

    Raises:
        CryinGANError: as `voronoi_faces`.
    """
    faces = voronoi_faces(atoms, np.arange(len(atoms)))
    weight = _relative(faces.centre, faces.solid_angle, len(atoms))
    found = _coordination(faces, weight, weight, len(atoms))
    # The last of ascending probabilities is the largest; of equal ones that of the smallest CN.
    order = np.lexsort((-found.number, found.probability, found.centre))
    most = np.zeros(len(atoms), dtype=int)
    most[found.centre[order]] = found.number[order]
    rows = map(slice, found.start[:-1], found.start[:-1] + most)
    return [(found.neighbor[row], found.vector[row]) for row in rows]


def _distance_factor(vector: np.ndarray, bond_length: np.ndarray) -> np.ndarray:
    """1 at bonding distances, falling as a cosine to 0 between the two cutoffs, shape (rows,)."""
    low, high = DISTANCE_CUTOFFS
    beyond = (np.linalg.norm(vector, axis=1) - bond_length - low) / (high - low)
    return (np.cos(np.clip(beyond, 0, 1) * math.pi) + 1) / 2


def _relative(centre: np.ndarray, weight: np.ndarray, centres: int) -> np.ndarray:
    """Weights divided by the largest of their centre, shape (rows,)."""
    largest = np.zeros(centres)
    np.maximum.at(largest, centre, weight)
    return weight / largest[centre]


def _coordination(faces: Faces, before: np.ndarray, weight: np.ndarray, centres: int) -> Coordination:
    """Coordination numbers by weights of at most 1; neighbours of equal weight go by their weight before."""
    order = np.lexsort((-before, -weight, faces.centre))
    rounded = np.round(weight[order], DECIMALS)
    order, rounded = order[rounded > 0], rounded[rounded > 0]
    centre = faces.centre[order]
    start = np.searchsorted(centre, np.arange(centres + 1))
    # A CN is possible after every neighbour that outweighs the next one.
    following = np.append(rounded, 0.0)
    following[start] = 0.0
    following = following[1:]
    last = np.flatnonzero(rounded > following)
    # Of equal weights, the area under the circle goes from the first one's to the next distinct one's.
    probability = (_circle(rounded[last]) - _circle(following[last])) / _circle(1.0)
    number = last + 1 - start[centre[last]]
    return Coordination(start, faces.neighbor[order], faces.vector[order], centre[last], number, probability)


def _circle(x: np.ndarray | float) -> np.ndarray | float:
    """Area between a quarter of the unit circle and the axis, from 0 to x."""
    return (x * np.sqrt(1 - np.square(x)) + np.arcsin(x)) / 2
