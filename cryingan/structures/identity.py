"""Whether structures are the same, on any machine: the last digits of coordinates depend on the processor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from cryingan.structures.crystals import Crystals

PROJECTIONS = 4
SAME_PROJECTION = 1e-8  # far above rounding; an atom moved by 1e-4 Angstrom changes it by about 1e-5
SAME_POSITION = 1e-6  # Angstrom; extended XYZ has 1e-8
NOWHERE = 2.0  # what no sine or cosine is


def kind_hash(crystals: Crystals, numbers: Sequence[int] = ()) -> str:
    """SHA-256 of what is exact about structures: species in their order, how many there are, and their numbers."""
    return hashlib.sha256(json.dumps([crystals.species, len(crystals), list(numbers)]).encode()).hexdigest()


def projections(crystals: Crystals) -> list[float]:
    """A few numbers that identify structures of one kind: random projections of their coordinates and cell.

    They are continuous, across the faces of the cell, too (coordinates enter as sine and cosine), so that coordinates
    which differ by rounding give the same within `SAME_PROJECTION`, which no hash of rounded values does. They differ
    when one atom is somewhere else, or when atoms or structures change places.

    Returns:
        `PROJECTIONS` numbers.
    """
    random = np.random.default_rng(0)
    total = crystals.cell.ravel() @ (random.random((9, PROJECTIONS)) - 0.5)
    for fractional in crystals.fractional:
        angles = 2 * np.pi * fractional.ravel()
        finite = np.isfinite(angles)
        circles = np.stack([np.where(finite, wave(np.where(finite, angles, 0)), NOWHERE) for wave in (np.cos, np.sin)])
        total = total + circles.ravel() @ (random.random((circles.size, PROJECTIONS)) - 0.5)
    return total.tolist()


def same_projections(first: Sequence[float], second: Sequence[float]) -> bool:
    """Whether two `projections` are of the same structures."""
    return len(first) == len(second) and np.allclose(first, second, rtol=0, atol=SAME_PROJECTION)


def same_structures(first: Crystals, second: Crystals) -> bool:
    """Whether cell and positions are the same within `SAME_POSITION`, across the faces of the cell, too."""
    if first.species != second.species or len(first) != len(second):
        return False
    apart = first.fractional - second.fractional
    finite = np.isfinite(apart)
    if not (np.isfinite(first.fractional) == np.isfinite(second.fractional)).all():
        return False
    apart = np.where(finite, apart - np.round(apart), 0) @ first.cell
    return max(np.abs(apart).max(initial=0), np.abs(first.cell - second.cell).max()) <= SAME_POSITION
