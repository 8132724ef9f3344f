"""Rings of bonds, against cycles counted by networkx."""

import itertools

import networkx
import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from cryingan.structures.crystals import Crystals
from data.silicon.rings import LARGEST, rings_per_atom
from tests.support.potentials import rattled

DIAMOND = bulk("Si", a=5.431, cubic=True).repeat(2)


def counted(atoms):
    """Cycles without a short cut that close without the period of the cell."""
    first, second, vectors = neighbor_list("ijD", atoms, 2.85)
    steps = dict(zip(zip(first.tolist(), second.tolist(), strict=True), vectors, strict=True))
    graph = networkx.Graph(list(steps))
    apart = dict(networkx.all_pairs_shortest_path_length(graph))

    def is_ring(cycle):
        size = len(cycle)
        pairs = itertools.combinations(range(size), 2)
        closes = np.abs(sum(steps[cycle[place - 1], cycle[place]] for place in range(size))).max() < 1e-6
        return closes and all(apart[cycle[a]][cycle[b]] == min(b - a, size - b + a) for a, b in pairs)

    sizes = [len(cycle) for cycle in networkx.simple_cycles(graph, length_bound=LARGEST) if is_ring(cycle)]
    return {size: sizes.count(size) / len(atoms) for size in range(3, LARGEST + 1)}


@pytest.mark.parametrize("seed", range(3))
def test_rings_are_cycles_without_short_cuts(seed):
    atoms = rattled(DIAMOND, seed, 0.35)
    found = rings_per_atom(Crystals.from_ase([atoms]))
    assert found == pytest.approx(counted(atoms))
    assert sum(number > 0 for number in found.values()) > 2, "a network of one kind of ring tests little"


def test_rings_of_several_structures_are_their_mean():
    rough = [rattled(DIAMOND, seed, 0.35) for seed in range(2)]
    alone = [rings_per_atom(Crystals.from_ase([atoms])) for atoms in rough]
    both = rings_per_atom(Crystals.from_ase(rough))
    assert both == pytest.approx({size: (alone[0][size] + alone[1][size]) / 2 for size in both})
