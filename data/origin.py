"""The origin of the coordinates that a model learns: where few atoms are, as coordinates jump from 1 to 0 there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError

BINS = 1000
NEAR = 0.01  # fractions of the cell; atoms this near to a face make it one that is cut
CUT = "%s: atoms lie on both faces of the cell along %s, which is hard to learn; %s"
MOVE = "data.shift=auto moves the origin to where few atoms are"
NO_GAP = "no other origin is free of them"


def origin_of(shift: Any, fractional: np.ndarray) -> list[float] | None:
    """The origin that a setting means, in fractions of the cell; None for that of the file.

    Args:
        shift: None, `auto` (`emptiest_origin`) or three numbers.
        fractional: coordinates of the set in [0, 1), shape (structures, atoms, 3).

    Raises:
        CryinGANError: `shift` is something else.
    """
    origin = emptiest_origin(fractional) if shift == "auto" else [0.0] * 3 if shift is None else shift
    if not isinstance(origin, Sequence) or len(origin) != 3 or not all(map(_is_number, origin)):
        raise CryinGANError(f"data.shift={shift}: it must be auto, or the new origin [a,b,c] in fractions of the cell")
    origin = [float(x) % 1.0 for x in origin]
    return origin if any(origin) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def emptiest_origin(fractional: np.ndarray) -> list[float]:
    """The place along each axis with the fewest atoms of all structures around it, across the faces of the cell.

    Counts atoms within 0.01 of each of 1,000 places. Of several places with the fewest, the middle one of the longest
    row is taken: that of the widest gap, where there are gaps.

    Args:
        fractional: coordinates in [0, 1), shape (structures, atoms, 3).

    Returns:
        Three fractions of the cell.

    Example:
        >>> emptiest_origin(np.array([[[0.0, 0.1, 0.9], [0.5, 0.3, 0.1], [0.6, 0.5, 0.5]]]))
        [0.25, 0.8, 0.3]
    """
    return [_emptiest(fractional[..., axis].ravel()) for axis in range(3)]


def _emptiest(coordinates: np.ndarray) -> float:
    near = round(NEAR * BINS)
    counts = np.bincount((coordinates * BINS).astype(int) % BINS, minlength=BINS)
    around = sum(np.roll(counts, step) for step in range(-near, near + 1))
    fewest = around == around.min()
    if fewest.all():
        return 0.0
    start = int(np.argmin(fewest))  # no row of places goes through the end of the list that begins here
    edges = np.flatnonzero(np.diff(np.roll(fewest, -start), prepend=False, append=False)).reshape(-1, 2)
    begin, end = edges[np.argmax(edges[:, 1] - edges[:, 0])]
    return float((start + (begin + end) / 2) % BINS / BINS)


def axes_cut(fractional: np.ndarray, near: float = NEAR, share: float = 0.005) -> str:
    """Name the axes along which more than a share of all atoms lies near the face at 0, and as many near that at 1.

    Args:
        fractional: coordinates in [0, 1), shape (structures, atoms, 3).
        near: largest distance from a face, in fractions of the cell.
        share: smallest share of all atoms.
    """
    low, high = ((where.mean(axis=(0, 1)) > share) for where in (fractional < near, fractional > 1 - near))
    return ", ".join(name for name, cut in zip("abc", low & high, strict=True) if cut)
