"""Common cells of two surfaces (Zur and McGill, J. Appl. Phys. 55, 378 (1984))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryingan.errors import CryinGANError
from data.interface.systems import Matching


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
        lengths, film_lengths = (np.linalg.norm(vectors, axis=1) for vectors in (self.vectors, self.film_vectors))
        return np.abs(film_lengths - lengths) / lengths

    @property
    def mismatch(self) -> float:
        """Mean of the two `length_mismatches`."""
        return float(self.length_mismatches.mean())

    @property
    def angle_mismatch(self) -> float:
        """Mismatch of the angle between the vectors, as a fraction of the substrate's angle."""
        angle, film_angle = (_angle(*vectors) for vectors in (self.vectors, self.film_vectors))
        return float(abs(film_angle - angle) / angle)

    def within(self, matching: Matching) -> bool:
        """Whether all mismatches are acceptable."""
        lengths = self.length_mismatches.max() <= matching.max_length_mismatch
        return bool(lengths and self.angle_mismatch <= matching.max_angle_mismatch)


def match_surfaces(substrate: np.ndarray, film: np.ndarray, matching: Matching) -> Match:
    """The smallest common cell of two surfaces; of several of that size, the one with the smallest mismatch.

    Args:
        substrate: vectors of the substrate's surface cell, Angstrom, shape (2, 3).
        film: vectors of the film's surface cell.
        matching: largest area and mismatches.

    Raises:
        CryinGANError: there is no such cell.
    """
    found = _matches(substrate, film, matching)
    wanted = [m for m in found if not matching.determinants or list(m.determinants) == list(matching.determinants)]
    if wanted:
        return min(wanted, key=lambda m: (m.determinants, round(m.mismatch + m.angle_mismatch, 6)))
    known = sorted({m.determinants for m in found})
    others = f"; determinants found: {', '.join(map(str, known))}" if known else ""
    raise CryinGANError(
        f"matching: no common cell of at most {matching.max_area:g} Angstrom^2 with a mismatch below "
        f"{matching.max_length_mismatch:g} in length and {matching.max_angle_mismatch:g} in angle"
        f"{f' and determinants {matching.determinants}' if matching.determinants else ''}{others}"
    )


def _matches(substrate: np.ndarray, film: np.ndarray, matching: Matching) -> list[Match]:
    from pymatgen.analysis.interfaces.zsl import ZSLGenerator

    search = ZSLGenerator(
        max_area=matching.max_area,
        max_area_ratio_tol=2 * matching.max_length_mismatch,
        max_length_tol=matching.max_length_mismatch,
        max_angle_tol=matching.max_angle_mismatch,
    )
    found = []
    for match in search(film, substrate):
        vectors = _right_handed(np.array(match.substrate_sl_vectors))[0]
        for film_vectors in _right_handed(np.array(match.film_sl_vectors)):
            candidate = Match(_integers(vectors, substrate), _integers(film_vectors, film), vectors, film_vectors)
            if candidate.within(matching):
                found.append(candidate)
    return found


def _right_handed(vectors: np.ndarray) -> list[np.ndarray]:
    """All right-handed pairs of two vectors; reduction of a near-square or rhombus may give either hand."""
    a, b = vectors
    pairs = [np.array(pair) for pair in ((a, b), (b, a), (a, -b), (-b, a))]
    return [pair for pair in pairs if np.cross(*pair)[2] > 0]


def _integers(vectors: np.ndarray, surface: np.ndarray) -> np.ndarray:
    return np.rint(vectors @ np.linalg.pinv(surface)).astype(int)


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)))
