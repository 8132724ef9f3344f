"""Which networks are refused: atoms too close, wrong coordination, crystallites."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from cryingan.geometry.neighbors import neighbors
from cryingan.metrics.angles import bond_angles
from cryingan.metrics.radial import rdf

BOND = 2.85  # Angstrom; atoms that are closer are neighbours
CLOSEST = 2.0  # Angstrom
FEWEST, MOST = 2, 6  # neighbours of an atom
FOUR_FOLD = 0.85  # least share of atoms with four neighbours
ANGLES = 8.0  # degrees; least standard deviation of bond angles
SECOND_SHELL = (3.3, 4.5)  # Angstrom; where the second peak of g(r) is looked for
SECOND_PEAK, BIN = 3.5, 0.1  # its greatest height, and the width of the bins, Angstrom
NUMBER = r"\d+(?:\.\d+)?"
GENERAL = {  # reasons with what was found in one structure, and without
    rf"two atoms are {NUMBER} Angstrom apart, (.+)": r"two atoms are \1 Angstrom apart",
    rf"an atom has {NUMBER} neighbours? (.+), not (\d+) to (\d+)": (
        r"an atom has fewer than \2 or more than \3 neighbours \1"
    ),
    rf"{NUMBER} % of the atoms have four neighbours, (.+)": r"\1 of the atoms have four neighbours",
    rf"bond angles scatter by {NUMBER} degrees, (less than {NUMBER})(.+)": r"bond angles scatter by \1 degrees\2",
    rf"the second peak of g\(r\) is {NUMBER} high, (more than {NUMBER})(.+)": r"the second peak of g(r) is \1 high\2",
}


@dataclass(frozen=True, eq=False)
class Bonds:
    """The bonds of one structure of one element.

    Attributes:
        counts: neighbours of every atom, shape (atoms,).
        lengths: of all bonds, each from both ends, Angstrom, shape (bonds,).
        angles: between all pairs of bonds of an atom, degrees, shape (angles,).
    """

    counts: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray

    def share(self, coordination: int) -> float:
        """The share of the atoms with so many neighbours."""
        return float((self.counts == coordination).mean())


def bonds(positions: np.ndarray, cell: np.ndarray, cutoff: float = BOND) -> Bonds:
    """Bonds between all atoms within a cut-off.

    Args:
        positions: Cartesian, Angstrom, shape (atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        cutoff: Angstrom.

    Example:
        >>> from ase.build import bulk
        >>> diamond = bulk("Si", cubic=True)
        >>> found = bonds(diamond.positions, diamond.cell)
        >>> found.share(4), round(float(found.angles.std()), 6), round(float(found.angles.mean()), 4)
        (1.0, 0.0, 109.4712)
    """
    source, target, image = neighbors(positions, np.asarray(cell), cutoff)
    vectors = positions[target] - positions[source] + image @ np.asarray(cell)
    counts = np.bincount(source, minlength=len(positions))
    angles = bond_angles(np.split(vectors, np.cumsum(counts)[:-1]))
    return Bonds(counts, np.linalg.norm(vectors, axis=1), angles)


def second_peak(positions: np.ndarray, cell: np.ndarray) -> float:
    """Height of the second peak of g(r) of silicon, between 3.3 and 4.5 Angstrom, in bins of 0.1 Angstrom."""
    r_max = SECOND_SHELL[1]
    g = rdf(Atoms(f"Si{len(positions)}", positions, cell=cell, pbc=True), r_max=r_max, bins=round(r_max / BIN))
    return float(g[round(SECOND_SHELL[0] / BIN) :].max())


def refusal(positions: np.ndarray, cell: np.ndarray) -> str:
    """Why a network is no amorphous silicon; empty if it is.

    Potentials differ in the neighbours that they leave (docs/silicon.md), so the limits are for minima of the potential
    of Vink, before another one relaxes them.

    Args:
        positions: Cartesian, Angstrom, shape (atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
    """
    found = bonds(positions, cell)
    if (nearest := found.lengths.min(initial=np.inf)) < CLOSEST:
        return f"two atoms are {nearest:.2f} Angstrom apart, less than {CLOSEST}"
    if found.counts.min() < FEWEST or found.counts.max() > MOST:
        wrong = found.counts.min() if found.counts.min() < FEWEST else found.counts.max()
        neighbours = "neighbour" if wrong == 1 else "neighbours"
        return f"an atom has {wrong} {neighbours} within {BOND} Angstrom, not {FEWEST} to {MOST}"
    if (share := found.share(4)) < FOUR_FOLD:
        return f"{100 * share:.1f} % of the atoms have four neighbours, less than {100 * FOUR_FOLD:.0f} %"
    if (spread := found.angles.std()) < ANGLES:
        return f"bond angles scatter by {spread:.1f} degrees, less than {ANGLES}: it has crystallised"
    if (height := second_peak(positions, cell)) > SECOND_PEAK:
        return f"the second peak of g(r) is {height:.2f} high, more than {SECOND_PEAK}: it has crystallised"
    return ""


def counted(reasons: Iterable[str]) -> dict[str, int]:
    """How many structures there are for each reason, the commonest first.

    A reason says what was found where that is the same in all of its structures, and the limit alone elsewhere.

    Args:
        reasons: of `refusal`, or others.

    Example:
        >>> counted(f"an atom has {found} neighbours within 2.85 Angstrom, not 2 to 6" for found in (0, 7, 7))
        {'an atom has fewer than 2 or more than 6 neighbours within 2.85 Angstrom': 3}
        >>> counted(["an atom has 7 neighbours within 2.85 Angstrom, not 2 to 6"] * 2)
        {'an atom has 7 neighbours within 2.85 Angstrom, not 2 to 6': 2}
    """
    alike: dict[str, Counter[str]] = defaultdict(Counter)
    for reason in reasons:
        alike[_general(reason)][reason] += 1
    named = Counter({next(iter(own)) if len(own) == 1 else name: own.total() for name, own in alike.items()})
    return dict(named.most_common())


def _general(reason: str) -> str:
    """A reason without what was found in one structure."""
    matches = ((re.fullmatch(pattern, reason), text) for pattern, text in GENERAL.items())
    return next((match.expand(text) for match, text in matches if match), reason)
