"""Fe-Cr-Ni alloy on the fcc lattice: lattice mapping, cluster counts, formation energy and short-range order.

A structure is an occupation of the sites: for every site an index into `SPECIES`, or `VACANCY`. Source:
docs/dismai_bench.md, "Alloy: lattice mapping" and what follows it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement, permutations, product
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from cryingan.errors import CryinGANError
from cryingan.geometry.neighbors import images_within

SPECIES = ("Cr", "Fe", "Ni")
VACANCY = -1
LATTICE_CONSTANT = 3.6
"""Edge of the conventional cell, Angstrom."""
ORIGIN = 0.25
"""Where the data sets put the lattice, in conventional cells: no site lies on the boundary of the cell."""
MARGIN = 0.8
"""Largest distance of an atom from its site, Angstrom."""

# One vector of each shell in half lattice constants; the others follow by permutation and sign.
SHELLS = ((1, 1, 0), (2, 0, 0), (2, 1, 1), (2, 2, 0), (3, 1, 0), (2, 2, 2), (3, 2, 1))
PAIRS = tuple(combinations_with_replacement(range(len(SPECIES)), 2))
FIRST, SECOND = np.transpose(PAIRS)
PAIR_NAMES = tuple(f"{SPECIES[a]}-{SPECIES[b]}" for a, b in PAIRS)
CLUSTER_NAMES = tuple(f"0NN_{s}" for s in SPECIES) + tuple(
    f"{shell}NN_{pair}" for shell in range(1, len(SHELLS) + 1) for pair in PAIR_NAMES
)
SRO_NAMES = tuple(f"{shell}NN_{pair}" for shell in (1, 2) for pair in PAIR_NAMES)

ECI_CONSTANT = -0.00932958469464057
ECI = np.loadtxt(Path(__file__).with_name("eci.csv"), delimiter=",", skiprows=1, usecols=range(1, 7))
"""Effective cluster interactions (Su et al., Acta Mater. 276, 120088 (2024)), eV: rows shells, columns `PAIR_NAMES`."""


def _half_cells(repeats: int) -> np.ndarray:
    """Integer site coordinates in half lattice constants, the last one running fastest, shape (sites, 3)."""
    grid = np.indices((2 * repeats,) * 3).reshape(3, -1).T
    return grid[grid.sum(axis=1) % 2 == 0]


def fcc_sites(repeats: int = 4, offset: float | Sequence[float] = ORIGIN) -> np.ndarray:
    """Fractional coordinates of all sites in repeats x repeats x repeats conventional cells, shape (4 repeats^3, 3).

    They are sorted by x, then y, then z; `offset` shifts the first one, in conventional cells, a number or shape (3,).
    """
    return (_half_cells(repeats) / 2 + offset) / repeats % 1.0


@cache
def shell_vectors() -> tuple[np.ndarray, ...]:
    """Vectors from a site to its neighbours in each of the seven shells, half lattice constants, (neighbours, 3).

    Each array is sorted so that its reverse is its negative.
    """
    signed = ({tuple(np.multiply(p, s)) for p in permutations(v) for s in product((1, -1), repeat=3)} for v in SHELLS)
    return tuple(np.array(sorted(vectors)) for vectors in signed)


@cache
def neighbor_table(repeats: int = 4) -> tuple[np.ndarray, ...]:
    """Indices into `fcc_sites` of every site's neighbours in each of the seven shells, shape (sites, neighbours).

    There are 12, 6, 24, 12, 24, 8 and 48 of them. In cells of fewer than four repeats several are images of one site,
    which is then listed as often.
    """
    coordinates = _half_cells(repeats)
    index = np.full((2 * repeats,) * 3, -1)
    index[tuple(coordinates.T)] = np.arange(len(coordinates))
    targets = ((coordinates[:, None] + vectors) % (2 * repeats) for vectors in shell_vectors())
    tables = tuple(index[tuple(np.moveaxis(target, -1, 0))] for target in targets)
    for table in tables:
        table.setflags(write=False)
    return tables


@cache
def _adjacency(repeats: int) -> tuple[csr_array, ...]:
    """For each shell, how often every site is a neighbour of every other, shape (sites, sites)."""
    tables = neighbor_table(repeats)
    pointers = [np.arange(0, table.size + 1, table.shape[1]) for table in tables]
    return tuple(csr_array((np.ones(t.size, np.float32), t.ravel(), p)) for t, p in zip(tables, pointers, strict=True))


def occupation(fractional: np.ndarray, species: Sequence[str], cell: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Map structures on lattice sites: a site holds the nearest atom within `MARGIN`, else it is vacant.

    An atom that is near no site, or not the nearest to its site, is dropped.

    Args:
        fractional: coordinates of the atoms, shape (structures, atoms, 3); any periodic image.
        species: chemical symbol of every atom, length atoms.
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        sites: fractional coordinates, shape (sites, 3), more than two margins apart.

    Returns:
        Index into `SPECIES` or `VACANCY` for every site, int8, shape (structures, sites).

    Raises:
        CryinGANError: a species is none of `SPECIES`.
        ValueError: a coordinate is not finite.
    """
    unknown = sorted(set(species) - set(SPECIES))
    if unknown:
        raise CryinGANError(f"species {', '.join(unknown)} in an alloy of {', '.join(SPECIES)}")
    if not np.isfinite(fractional).all():
        raise ValueError("a coordinate is not finite")
    structures, atoms, _ = fractional.shape
    result = np.full((structures, len(sites)), VACANCY, dtype=np.int8)
    # float32 coordinates are widened first, so that the remainder of a tiny negative number is not exactly 1.
    points = np.asarray(fractional, dtype=np.float64).reshape(-1, 3) % 1.0 @ cell
    point, site, _, distance = images_within(points, sites % 1.0 @ cell, cell, MARGIN)
    kinds = np.array([SPECIES.index(symbol) for symbol in species], dtype=np.int8)[point % atoms]
    # Written from the farthest to the nearest atom: the nearest stays. Ties go by species, not by the order of atoms.
    order = np.lexsort((kinds, -distance))
    result[point[order] // atoms, site[order]] = kinds[order]
    return result


def cluster_counts(occupation: np.ndarray) -> np.ndarray:
    """Point and pair clusters per atom of structures on the lattice of `fcc_sites`.

    A pair is counted once; a pair with a vacancy is none. Vacancies are no atoms.

    Args:
        occupation: index into `SPECIES` or `VACANCY`, shape (structures, sites) with sites = 4 repeats^3.

    Returns:
        Counts per atom, columns as `CLUSTER_NAMES`, shape (structures, 45). NaN for a structure without atoms.

    Raises:
        ValueError: the number of sites is not that of such a lattice.

    Example:
        In pure iron every atom has six pairs of nearest neighbours.

        >>> iron = np.full((1, 256), SPECIES.index("Fe"))
        >>> float(cluster_counts(iron)[0, CLUSTER_NAMES.index("1NN_Fe-Fe")])
        6.0
    """
    sites = occupation.shape[1]
    repeats = round((sites / 4) ** (1 / 3))
    if 4 * repeats**3 != sites:
        raise ValueError(f"{sites} sites are no fcc lattice of n x n x n conventional cells")
    # float32 holds these integers exactly and lets the pair sums run as matrix products.
    present = (occupation[:, None] == np.arange(len(SPECIES))[:, None]).astype(np.float32)
    columns = [present.sum(axis=2)]
    for adjacency in _adjacency(repeats):
        around = (present.reshape(-1, sites) @ adjacency).reshape(present.shape)
        ordered = around @ present.swapaxes(1, 2)
        columns.append(ordered[:, FIRST, SECOND] / np.where(FIRST == SECOND, 2, 1))
    atoms = columns[0].sum(axis=1, dtype=np.float64)[:, None]
    return np.concatenate(columns, axis=1) / np.where(atoms > 0, atoms, np.nan)


def formation_energy(counts: np.ndarray) -> np.ndarray:
    """Formation energy by the cluster expansion, eV/atom, shape (structures,), from `cluster_counts`.

    Source: docs/dismai_bench.md, "Alloy: formation energy".
    """
    return ECI_CONSTANT + counts[:, len(SPECIES) :] @ ECI.ravel()


def short_range_order(counts: np.ndarray) -> np.ndarray:
    """Warren-Cowley parameters of the first two shells (docs/dismai_bench.md, "Alloy: short-range order").

    Args:
        counts: from `cluster_counts`, shape (structures, 45).

    Returns:
        Columns as `SRO_NAMES`, shape (structures, 12); NaN where an element is missing or has no neighbour.
    """
    composition, pairs = np.split(counts, [len(SPECIES)], axis=1)
    shells = pairs.reshape(len(counts), len(SHELLS), len(PAIRS))[:, :2]
    ordered = np.zeros((len(counts), 2, len(SPECIES), len(SPECIES)))
    ordered[..., FIRST, SECOND] += shells
    ordered[..., SECOND, FIRST] += shells
    expected = ordered.sum(axis=3)[..., None] * composition[:, None, None]
    ratio = ordered / np.where(expected > 0, expected, np.nan)
    return (1 - (ratio[..., FIRST, SECOND] + ratio[..., SECOND, FIRST]) / 2).reshape(len(counts), len(SRO_NAMES))
