"""Metropolis swap Monte Carlo on the Fe-Cr-Ni lattice: many chains advance together, each with its own random stream.

The state of a chain is the site of every atom. A block of a chain depends on (seed, purpose, chain, block) and on the
chain's state alone, element by element, so any subset of the chains gives the same bits as all of them together.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from cryingan.metrics.alloy.fcc import ECI, PAIRS, SPECIES, VACANCY, fcc_sites, neighbor_table

BOLTZMANN = 8.617333262e-5
"""eV/K."""
START = 2**64 - 1
"""The block number from which a chain's random start is drawn."""


class Interactions(NamedTuple):
    """Energies (eV) of the cluster expansion on one lattice (docs/dismai_bench.md, "Alloy: formation energy").

    Attributes:
        field: of an atom of species b at site j on an atom of species a at site i: field[b, j, i, a].
        change: field[b] - field[a], which replacing a by b at a site adds to the field, shape (3, 3, sites, sites, 3).
        mutual: correction of the fields when atom a at site i and atom b at site j swap: mutual[i, j, a, b].
    """

    field: np.ndarray
    change: np.ndarray
    mutual: np.ndarray


@cache
def interactions(repeats: int = 4) -> Interactions:
    """Interactions on `repeats` (at least 2) conventional cells along each axis, with sites as in `fcc_sites`."""
    sites, kinds = 4 * repeats**3, len(SPECIES)
    field = np.zeros((kinds, sites, sites, kinds))
    for table, eci in zip(neighbor_table(repeats), ECI, strict=True):
        for energy, (a, b) in zip(eci, PAIRS, strict=True):
            for first, second in {(a, b), (b, a)}:
                np.add.at(field, (first, np.arange(sites)[:, None], table, second), energy)
    change = field[None] - field[:, None]
    pair = field.transpose(1, 2, 0, 3)
    like = np.diagonal(pair, axis1=2, axis2=3)
    return Interactions(field, change, 2 * pair - like[..., :, None] - like[..., None, :])


def streams(seed: int, purpose: int, chains: np.ndarray, block: int) -> list[np.random.Philox]:
    """Random streams of one block of each chain, independent for every (seed, purpose, chain, block)."""
    return [
        np.random.Philox(key=[seed, chain], counter=np.array([0, 0, block, purpose], dtype=np.uint64))
        for chain in map(int, chains)
    ]


def random_start(generators: list[np.random.Philox], atoms: int) -> np.ndarray:
    """Atoms of a full lattice at random sites, shape (chains, atoms)."""
    raw = np.stack([generator.random_raw(atoms) for generator in generators])
    return np.argsort(raw, axis=1, kind="stable")


def ordered_start(chains: int) -> np.ndarray:
    """51 Cr, 154 Fe and 51 Ni on 256 sites, as close to ordered Fe2CrNi as possible, shape (chains, atoms).

    Cr and Ni each occupy one of the four simple cubic sublattices; Fe fills the rest.
    """
    corner = fcc_sites(offset=0.0) * 4 % 1
    chromium = np.flatnonzero((corner == 0).all(axis=1))[:51]
    nickel = np.flatnonzero((corner == (0.5, 0.5, 0)).all(axis=1))[:51]
    iron = np.setdiff1d(np.arange(256), [*chromium, *nickel])
    return np.tile(np.concatenate([chromium, iron, nickel]), (chains, 1))


def occupation_of(sites: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Species index of every site, int8, shape (chains, sites), from the site of every atom and the atoms' species."""
    occupied = np.full(sites.shape, VACANCY, dtype=np.int8)
    np.put_along_axis(occupied, sites, np.broadcast_to(kinds.astype(np.int8), sites.shape), axis=1)
    return occupied


def total_field(sites: np.ndarray, kinds: np.ndarray, table: Interactions) -> np.ndarray:
    """Energy (eV) that an atom of each species would have at each site, shape (chains, sites, species)."""
    field = np.zeros((*sites.shape, len(SPECIES)))
    # Atom by atom, because the order of a sum over an axis may depend on the number of chains.
    for atom, kind in enumerate(kinds):
        field += table.field[kind, sites[:, atom]]
    return field


def advance(
    sites: np.ndarray,
    kinds: np.ndarray,
    generators: list[np.random.Philox],
    sweeps: int,
    temperature: float,
    repeats: int = 4,
) -> np.ndarray:
    """Run sweeps of Metropolis swaps in every chain; a sweep is one attempt per atom.

    An attempt draws a pair of unlike atoms, anywhere in the cell, and exchanges their sites with probability
    min(1, exp(-dE / kT)). The number of such pairs is constant, so proposals are symmetric.

    Args:
        sites: site of every atom, shape (chains, atoms); not changed.
        kinds: index into `SPECIES` of every atom, shape (atoms,).
        generators: a random stream for each chain.
        sweeps: number of sweeps.
        temperature: kelvin; infinity accepts every swap.
        repeats: conventional cells along each axis.

    Returns:
        Site of every atom after the sweeps, shape (chains, atoms).
    """
    table = interactions(repeats)
    sites, field = sites.copy(), total_field(sites, kinds, table)
    pairs = np.argwhere(np.triu(kinds[:, None] != kinds))
    rows, atoms = np.arange(len(sites)), len(kinds)
    for _ in range(sweeps):
        raw = np.stack([generator.random_raw(2 * atoms) for generator in generators])
        chosen = (raw[:, :atoms] >> np.uint64(32)) * np.uint64(len(pairs)) >> np.uint64(32)
        uniform = (raw[:, atoms:] >> np.uint64(11)) * 2.0**-53
        limit = np.log1p(-uniform)
        for attempt in range(atoms):
            p, q = pairs[chosen[:, attempt]].T
            i, j, a, b = sites[rows, p], sites[rows, q], kinds[p], kinds[q]
            delta = field[rows, i, b] - field[rows, i, a] + field[rows, j, a] - field[rows, j, b]
            delta += table.mutual[i, j, a, b]
            accepted = np.flatnonzero(-delta / (BOLTZMANN * temperature) >= limit[:, attempt])
            p, q, i, j, a, b = (values[accepted] for values in (p, q, i, j, a, b))
            sites[accepted, p], sites[accepted, q] = j, i
            field[accepted] += table.change[a, b, i] - table.change[a, b, j]
    return sites
