"""Radial distribution functions of periodic structures (docs/dismai_bench.md, "Amorphous silicon"; SI, Fig. S34).

Every periodic image counts, so that g(r) is that of the infinite crystal and does not depend on the choice of the cell.

`compatible=True` counts each pair of atoms of the 2 x 2 x 2 supercell once, at its nearest image, as Dismai-Bench
does. The numbers are the same up to the length of the shortest lattice vector of the structure, and too small beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from ase import Atoms

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import pair_distances
from cryingan.geometry.lattice import own_images, reduced_lattice
from cryingan.geometry.neighbors import neighbors

R_MAX = 10.0
BINS = 500
# A distance this much below the edge of a bin lies on it, Angstrom: files hold about eight decimals, and g(r) of an
# ideal crystal must not depend on how its coordinates were rounded.
ROUNDING = 1e-7

Pair = tuple[str, str] | None


def bin_centers(r_max: float = R_MAX, bins: int = BINS) -> np.ndarray:
    """Mid-points of the bins, Angstrom, shape (bins,)."""
    return (np.arange(bins) + 0.5) * r_max / bins


def rdf(atoms: Atoms, pair: Pair = None, **options: object) -> np.ndarray:
    """One radial distribution function of a structure, shape (bins,); arguments and errors as for `partial_rdfs`.

    Example:
        >>> from ase.build import bulk
        >>> g = rdf(bulk("Si", "diamond", a=5.431))
        >>> round(float(bin_centers()[g.nonzero()[0][0]]), 2)  # the bond length is 2.352 Angstrom
        2.35
    """
    return partial_rdfs(atoms, [pair], **options)[0]


def partial_rdfs(
    atoms: Atoms,
    pairs: Sequence[Pair],
    r_max: float = R_MAX,
    bins: int = BINS,
    centers: np.ndarray | None = None,
    compatible: bool = False,
) -> np.ndarray:
    """Radial distribution functions of a structure: density of neighbours over their mean density in the cell.

    g_k = h_k / (N_centres rho 4 pi / 3 (r_{k+1}^3 - r_k^3)), with h_k the ordered pairs in bin k and rho = N / V of the
    neighbours' species. Bins hold their lower edge, the last one also its upper.

    Args:
        atoms: the structure, taken as periodic in all directions.
        pairs: for each function (species at the centre, species around it), or None for all atoms.
        r_max: upper edge of the last bin, Angstrom.
        bins: number of bins of equal width from 0.
        centers: which atoms may be at the centre, such as those of a region, bool, shape (atoms,); by default all.
        compatible: count nearest images in the 2 x 2 x 2 supercell only (module docstring).

    Returns:
        g, dimensionless, shape (pairs, bins). NaN where a species, or any centre of it, is missing.

    Raises:
        CryinGANError: a coordinate is not finite, or the cell is flat.
    """
    symbols = np.array(atoms.get_chemical_symbols())
    chosen = np.ones(len(atoms), dtype=bool) if centers is None else np.asarray(centers, dtype=bool)
    center, neighbor, distance = _neighbors(atoms, r_max + ROUNDING, compatible)
    place = np.minimum(((distance + ROUNDING) * (bins / r_max)).astype(np.int64), bins - 1)
    shells = np.diff(np.linspace(0, r_max, bins + 1) ** 3) * 4 * np.pi / 3 / atoms.cell.volume
    result = np.full((len(pairs), bins), np.nan)
    for row, pair in enumerate(pairs):
        inner, outer = (np.isin(symbols, name or symbols) for name in pair or (None, None))
        inner &= chosen
        if inner.any() and outer.any():
            counts = np.bincount(place[inner[center] & outer[neighbor]], minlength=bins)
            result[row] = counts / (inner.sum() * outer.sum() * shells)
    return result


def _neighbors(atoms: Atoms, limit: float, compatible: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, neighbour and distance of all ordered pairs within a limit."""
    cell = tuple(map(tuple, atoms.cell.tolist()))
    reduced_lattice(cell)  # no flat cell
    if not np.isfinite(atoms.positions).all():
        raise CryinGANError("a radial distribution function cannot be computed: a coordinate is not finite")
    # Two images of an atom within the limit of another are a lattice vector of the supercell apart: below this length
    # there is at most one, the nearest.
    if compatible and own_images(cell, 1) <= limit:
        return _nearest_images(atoms, limit)
    positions = atoms.cell.scaled_positions(atoms.positions) % 1.0 @ atoms.cell.array
    center, neighbor, image = neighbors(positions, atoms.cell.array, limit)
    vectors = positions[neighbor] + image @ atoms.cell.array - positions[center]
    return center, neighbor, np.linalg.norm(vectors, axis=1)


def _nearest_images(atoms: Atoms, limit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_neighbors`, but of each atom of the 2 x 2 x 2 supercell the nearest image only."""
    fractional = atoms.cell.scaled_positions(atoms.positions)
    copies = ((fractional + np.array(list(product((0, 1), repeat=3)))[:, None]) / 2).reshape(1, -1, 3)
    distances = pair_distances(torch.as_tensor(copies), torch.as_tensor(2 * atoms.cell.array), limit)[0].numpy()
    center, neighbor = np.nonzero(np.isfinite(distances[: len(atoms)]))
    return center, neighbor % len(atoms), distances[center, neighbor]
