"""Common cells of two surfaces, after Zur and McGill, J. Appl. Phys. 55, 378 (1984).

Superlattices of the substrate are taken in the order of their size, each by its two shortest vectors, at an angle of at
most 90 degrees (by each such pair, where there are several). For each, every pair of vectors of the film's lattice is
tried that comes to lie on them when the film is strained. Zur and McGill compare the shortest vectors of both, which
misses cells where the strain makes others the shortest, as in nearly square or hexagonal ones.

The mismatches of a common cell are those of the two lengths and of the angle, |film - substrate| / substrate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cryingan.errors import CryinGANError
from data.interface.systems import Matching

ROUNDING = 1e-9  # mismatches that are above a limit by less are at the limit
SAME_LENGTH = 1e-6  # lengths that differ by a smaller fraction are the same


@dataclass(frozen=True)
class Match:
    """Two superlattices, one of each surface, that nearly coincide.

    Attributes:
        substrate_matrix: superlattice vectors as rows, in vectors of the substrate's surface cell, shape (2, 2).
        film_matrix: the same for the film.
        vectors: superlattice vectors of the substrate, Angstrom, shape (2, 3).
        film_vectors: those of the film before it is strained.
    """

    substrate_matrix: np.ndarray
    film_matrix: np.ndarray
    vectors: np.ndarray
    film_vectors: np.ndarray

    @property
    def determinants(self) -> tuple[int, int]:
        """Number of surface cells of substrate and film in the superlattice."""
        return tuple(abs(round(np.linalg.det(matrix))) for matrix in (self.substrate_matrix, self.film_matrix))

    @property
    def area(self) -> float:
        """Area of the superlattice cell, Angstrom^2."""
        return float(np.linalg.norm(np.cross(*self.vectors)))

    @property
    def length_mismatches(self) -> np.ndarray:
        """Length mismatches of both vectors, as fractions of the substrate's lengths, shape (2,)."""
        return mismatches(self.vectors, self.film_vectors)[:2]

    @property
    def angle_mismatch(self) -> float:
        """Mismatch of the angle between the vectors, as a fraction of the substrate's angle."""
        return float(mismatches(self.vectors, self.film_vectors)[2])

    @property
    def mismatch(self) -> float:
        """Mean of the two `length_mismatches`."""
        return float(self.length_mismatches.mean())


def mismatches(vectors: np.ndarray, film_vectors: np.ndarray) -> np.ndarray:
    """Mismatches of two lengths and an angle, as fractions of the substrate's, shape (..., 3).

    Args:
        vectors: of the substrate, Angstrom, shape (2, 3).
        film_vectors: of the film, shape (..., 2, 3).
    """
    own, others = _measures(vectors), _measures(film_vectors)
    return np.abs(others - own) / own


def _measures(vectors: np.ndarray) -> np.ndarray:
    """Lengths of two vectors and the angle between them, shape (..., 3)."""
    lengths = np.linalg.norm(vectors, axis=-1)
    cosine = np.einsum("...i,...i", vectors[..., 0, :], vectors[..., 1, :]) / lengths.prod(axis=-1)
    return np.concatenate([lengths, np.arccos(np.clip(cosine, -1, 1))[..., None]], axis=-1)


def match_surfaces(substrate: np.ndarray, film: np.ndarray, matching: Matching) -> Match:
    """The smallest common cell of two surfaces.

    Of several of that size it is the one with the smallest sum of `Match.mismatch` and `Match.angle_mismatch`.

    Args:
        substrate: vectors of the substrate's surface cell, Angstrom, shape (2, 3).
        film: vectors of the film's surface cell.
        matching: largest area and mismatches.

    Raises:
        CryinGANError: there is no such cell.
    """
    known: set[tuple[int, int]] = set()
    for found in _matches_by_size(substrate, film, matching):
        wanted = [m for m in found if not matching.determinants or list(m.determinants) == list(matching.determinants)]
        if wanted:
            sums = np.round([m.mismatch + m.angle_mismatch for m in wanted], 6)
            best = [m for m, total in zip(wanted, sums, strict=True) if total == sums.min()]
            return min(best, key=lambda m: _rank(m, substrate, film))
        known |= {m.determinants for m in found}
    others = f"; determinants found: {', '.join(map(str, sorted(known)))}" if known else ""
    raise CryinGANError(
        f"matching: no common cell of at most {matching.max_area:g} Angstrom^2 with a mismatch of at most "
        f"{matching.max_length_mismatch:g} in length and {matching.max_angle_mismatch:g} in angle, as fractions of the "
        f"substrate's{f', and determinants {matching.determinants}' if matching.determinants else ''}{others}"
    )


def _matches_by_size(substrate: np.ndarray, film: np.ndarray, matching: Matching) -> Iterator[list[Match]]:
    """All common cells within the limits, those of one number of the substrate's surface cells together."""
    from pymatgen.analysis.interfaces.zsl import gen_sl_transform_matrices, reduce_vectors

    area = np.linalg.norm(np.cross(*substrate))
    for size in range(1, int(matching.max_area / area + ROUNDING) + 1):
        superlattices = np.dot(gen_sl_transform_matrices(size), substrate)
        cells = [pair for vectors in superlattices for pair in _shortest(*reduce_vectors(*vectors))]
        longest = max(np.linalg.norm(vectors, axis=1).max() for vectors in cells)
        lattice = _lattice_vectors(film, longest * (1 + matching.max_length_mismatch + ROUNDING))
        yield [match for vectors in cells for match in _matches(vectors, substrate, film, lattice, matching)]


def _lattice_vectors(surface: np.ndarray, longest: float) -> np.ndarray:
    """All vectors of a lattice up to a length, in vectors of its cell, the shortest first, shape (vectors, 2)."""
    reach = np.floor(longest * np.linalg.norm(np.linalg.pinv(surface), axis=0) + ROUNDING).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 2)
    lengths = np.linalg.norm(grid @ surface, axis=1)
    order = np.argsort(lengths, kind="stable")
    return grid[order[(lengths[order] > 0) & (lengths[order] <= longest)]]


def _matches(
    vectors: np.ndarray, substrate: np.ndarray, film: np.ndarray, lattice: np.ndarray, matching: Matching
) -> list[Match]:
    """All right-handed pairs of the film's `lattice` that match one superlattice of the substrate."""
    limits = np.array([matching.max_length_mismatch] * 2 + [matching.max_angle_mismatch]) + ROUNDING
    lengths, wanted = np.linalg.norm(lattice @ film, axis=1), np.linalg.norm(vectors, axis=1)
    lows, highs = (np.searchsorted(lengths, wanted * (1 + sign * limits[:2])) for sign in (-1, 1))
    first, second = (np.arange(low, high) for low, high in zip(lows, highs, strict=True))
    pairs = lattice[np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)]
    film_vectors = pairs @ film
    right_handed = np.cross(film_vectors[:, 0], film_vectors[:, 1])[:, 2] > 0
    within = (mismatches(vectors, film_vectors) <= limits).all(axis=1)
    return [
        Match(_integers(vectors, substrate), pairs[i], vectors, film_vectors[i])
        for i in np.flatnonzero(right_handed & within)
    ]


def _rank(match: Match, substrate: np.ndarray, film: np.ndarray) -> tuple[int, ...]:
    """Place of a match among equally good ones: the order in which pymatgen's `ZSLGenerator` finds them, the rest last.

    The same surfaces so give the same cell as in sets that were built with it.
    """
    film_place, film_pairs = _reduced(match.film_matrix, film)
    place, pairs = _reduced(match.substrate_matrix, substrate)
    same = [np.array_equal(pair, match.film_matrix) for pair in film_pairs]
    other = not (any(same) and np.array_equal(pairs[0], match.substrate_matrix))
    pair = same.index(True) if any(same) else len(same)
    return (other, film_place, place, pair, *match.substrate_matrix.ravel(), *match.film_matrix.ravel())


def _reduced(matrix: np.ndarray, surface: np.ndarray) -> tuple[int, list[np.ndarray]]:
    """Place of a superlattice in pymatgen's list of its size, and the matrices of its reduced vectors."""
    from pymatgen.analysis.interfaces.zsl import gen_sl_transform_matrices, reduce_vectors

    forms = gen_sl_transform_matrices(abs(round(np.linalg.det(matrix))))
    quotients = matrix @ np.linalg.inv(forms)
    place = int(np.abs(quotients - np.rint(quotients)).max(axis=(1, 2)).argmin())
    vectors = np.array(reduce_vectors(*np.dot(forms, surface)[place]))
    return place, [_integers(pair, surface) for pair in _right_handed(vectors)]


def _shortest(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Right-handed pairs of the shortest vectors of a reduced lattice: one, or several as in a hexagonal lattice."""
    pairs = [_right_handed(np.array(pair))[0] for pair in ((a, b), (a, a - b), (b, b - a))]
    lengths = np.sort(np.linalg.norm(pairs, axis=2), axis=1)
    return [pair for pair, own in zip(pairs, lengths, strict=True) if np.allclose(own, lengths[0], rtol=SAME_LENGTH)]


def _right_handed(vectors: np.ndarray) -> list[np.ndarray]:
    """All right-handed pairs of two vectors; reduction of a near-square or rhombus may give either hand."""
    a, b = vectors
    pairs = [np.array(pair) for pair in ((a, b), (b, a), (a, -b), (-b, a))]
    return [pair for pair in pairs if pair[0, 0] * pair[1, 1] - pair[0, 1] * pair[1, 0] > 0]  # z of a x b


def _integers(vectors: np.ndarray, surface: np.ndarray) -> np.ndarray:
    return np.rint(vectors @ np.linalg.pinv(surface)).astype(int)
