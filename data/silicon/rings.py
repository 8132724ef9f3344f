"""Rings of bonds of silicon, by matscipy."""

from __future__ import annotations

import numpy as np

from cryingan.errors import CryinGANError
from cryingan.structures.crystals import Crystals
from data.silicon.checks import BOND

LARGEST = 8  # atoms; larger ones are few, and as long as the cell


def require_matscipy() -> None:
    """Refuse what needs rings before anything long begins.

    Raises:
        CryinGANError: matscipy is missing.
    """
    try:
        import matscipy.rings  # noqa: F401
    except ImportError as error:
        raise CryinGANError(f"rings need matscipy ({error}): pip install matscipy, or the extra md") from error


def rings_per_atom(crystals: Crystals) -> dict[int, float]:
    """Shortest-path rings (Franzblau, Phys. Rev. B 44, 4925 (1991)) of 3 to 8 atoms, for each atom, by their size.

    Bonds are shorter than 2.85 Angstrom. Each ring counts once; one that closes only by the cell's period does not.

    Raises:
        CryinGANError: matscipy is missing.

    Example:
        >>> from ase.build import bulk
        >>> rings_per_atom(Crystals.from_ase([bulk("Si", a=5.431, cubic=True).repeat(2)]))
        {3: 0.0, 4: 0.0, 5: 0.0, 6: 2.0, 7: 0.0, 8: 0.0}
    """
    require_matscipy()
    from matscipy.neighbours import neighbour_list
    from matscipy.rings import distances_on_graph, find_sp_rings

    counts = np.zeros(LARGEST + 1, dtype=np.int64)
    for atoms in crystals.to_ase():
        first, second, vectors = neighbour_list("ijD", atoms, BOND)
        # matscipy's ring_statistics fails where it finds rings of maxlength, which it may find in part
        found = find_sp_rings(first, second, vectors, distances_on_graph(first, second), LARGEST + 1)[: LARGEST + 1]
        counts[: len(found)] += found
    per_atom = counts / crystals.fractional.shape[0] / crystals.fractional.shape[1]
    return {size: float(per_atom[size]) for size in range(3, LARGEST + 1)}
