"""Clusters of an fcc structure whose cube axes point anywhere, without numbered sites.

A lattice repeats with the cell in some directions only. In all others it meets its own image at a boundary, and there
is no set of sites to map on. The surroundings of each atom remain defined: `cryingan.metrics.alloy.neighbors`.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from cryingan.metrics.alloy.fcc import MARGIN
from cryingan.metrics.alloy.lattice import MOST_STRAIN, FccLattice, Mapping
from cryingan.metrics.alloy.neighbors import ideal_vectors, pairs_within, partners, pieces, second_shell, surroundings

FEWEST_PARTNERS = 4
TRIAL_DIRECTIONS = 300
FITS = 20
SPREAD = 0.2
"""Distance from an edge at which a vector has half its weight, Angstrom."""


def map_rotated(atoms: Atoms, lattice: FccLattice) -> Mapping:
    """Clusters of a structure on a lattice of any direction and position, its constant scaled to the cell's volume.

    The mapping has no occupation. It is rejected if the cell has another volume or too many atoms do not belong.
    """
    constant = (4 * atoms.cell.volume / lattice.size) ** (1 / 3)
    if abs(constant / lattice.constant - 1) > MOST_STRAIN:
        sites = f"{lattice.size} sites of an fcc lattice of {lattice.constant} Angstrom"
        reason = f"the cell's volume of {atoms.cell.volume:.0f} Angstrom^3 is not that of {sites}"
        return Mapping.rejected("cdvae", lattice, len(atoms), reason)
    edges = second_shell(atoms.positions, atoms.cell.array, constant)[1]
    axes = fitted_axes(edges, constant)
    if axes is None:
        return Mapping.rejected("cdvae", lattice, len(atoms), "no three directions in which atoms repeat")
    shells = ideal_vectors(axes)
    members = grain(atoms.positions, atoms.cell.array, shells[0])
    counts, vacancies = surroundings(atoms[members], shells)
    missing, reason = lattice.size - len(members), ""
    if missing > lattice.most_vacancies:
        fewest = lattice.size - lattice.most_vacancies
        reason = f"{len(members)} atoms lie on one fcc lattice, fewer than {fewest} of its {lattice.size} sites"
    return Mapping("cdvae", None, counts, max(vacancies, missing), len(atoms) - len(members), reason)


def fitted_axes(vectors: np.ndarray, constant: float) -> np.ndarray | None:
    """Edges of the conventional cell in rows, (3, 3), that best fit the vectors of `second_shell`; all in Angstrom.

    Of many directions the one with the largest sum of fourth powers of the direction cosines starts a fit, in which
    every edge becomes the mean of the vectors near it or its negative, with less weight the farther they are from it:
    vectors across a boundary do not bend it. None if an edge has no vector near it.
    """
    random = np.random.default_rng(0).normal(size=(TRIAL_DIRECTIONS, 4))
    trials = np.concatenate([np.eye(3)[None], Rotation.from_quat(random).as_matrix()])
    squares = (vectors @ trials.reshape(-1, 3).T) ** 2
    fit = (squares * squares).sum(axis=0).reshape(-1, 3).sum(axis=1)
    axes, limit, spread = trials[fit.argmax()] * constant, constant / 2, np.inf
    for _ in range(FITS):
        offsets = np.linalg.norm(vectors[:, None] - np.concatenate([axes, -axes]), axis=2)
        weights = (offsets <= limit) / (1 + (offsets / spread) ** 2)
        total = weights.sum(axis=0).reshape(2, 3).sum(axis=0)
        if not total.all():
            return None
        axes = (weights[:, :3] - weights[:, 3:]).T @ vectors / total[:, None]
        limit, spread = MARGIN, SPREAD
    return axes


def grain(positions: np.ndarray, cell: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Atoms that belong to the lattice, indices in order: the largest piece in which each has at least four partners.

    Random coordinates have no such piece. A partner is a member at a point of `nearest`, the first of `ideal_vectors`.
    Positions (atoms, 3), cell (3, 3) and vectors are in Angstrom.
    """
    atoms = np.arange(len(positions))
    held = partners(positions, cell, nearest)
    back = held[held, np.arange(len(nearest))[::-1]]
    held = np.where((held >= 0) & (back == atoms[:, None]), held, -1)
    # Of atoms on one site the one stays that is nearest to more ideal points.
    chosen = (held >= 0).sum(axis=1)
    belongs = np.ones(len(positions), dtype=bool)
    rank = np.lexsort((-atoms, chosen)).argsort()
    first, second, _ = pairs_within(positions, cell, MARGIN)
    belongs[first[rank[first] < rank[second]]] = False
    while True:
        number = ((held >= 0) & belongs[held]).sum(axis=1)
        if (number[belongs] >= FEWEST_PARTNERS).all():
            break
        belongs &= number >= FEWEST_PARTNERS
    bonded = (held >= 0) & belongs[held] & belongs[:, None]
    first, which = np.nonzero(bonded)
    labels = pieces(len(positions), first, held[first, which])
    largest = np.bincount(labels[belongs], minlength=1).argmax()
    return np.flatnonzero(belongs & (labels == largest))
