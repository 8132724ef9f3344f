"""Milliseconds per alloy structure, ours and plain Python loops: `python -m benchmarks.alloy_metrics [structures]`.

Structures are random occupations of the 256 sites, moved as a whole, with 0.1 Angstrom of noise. The loops count pairs
between atoms, by distance, for numbers that must be the same.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import time
from collections import Counter
from math import dist

import numpy as np
from ase import Atoms

from cryingan.metrics.alloy.fcc import SPECIES, cluster_counts, fcc_sites, short_range_order
from cryingan.metrics.alloy.mapping import map_to_lattice

LENGTHS = {round(3.6 * (squares / 4) ** 0.5, 3): shell for shell, squares in enumerate((2, 4, 6, 8, 10, 12, 14), 1)}
CELL = 14.4


def made(structures: int) -> list[Atoms]:
    """Random occupations, each moved as a whole and rattled."""
    rng = np.random.default_rng(0)
    species = np.repeat(SPECIES, [51, 154, 51])
    sites = fcc_sites() * CELL
    return [
        Atoms(
            rng.permutation(species), sites + rng.uniform(0, CELL, 3) + rng.normal(0, 0.1, sites.shape), cell=[CELL] * 3
        )
        for _ in range(structures)
    ]


def loops(occupation: np.ndarray) -> np.ndarray:
    """Clusters per atom of one structure by a double loop over atoms."""
    sites = (fcc_sites() * CELL).tolist()
    symbols = [SPECIES[kind] for kind in occupation]
    pairs: Counter[tuple[int, str]] = Counter()
    for i, first in enumerate(sites):
        for j in range(i):
            for shift in ((x, y, z) for x in (-CELL, 0, CELL) for y in (-CELL, 0, CELL) for z in (-CELL, 0, CELL)):
                moved = [a + b for a, b in zip(sites[j], shift, strict=True)]
                shell = LENGTHS.get(round(dist(first, moved), 3))
                if shell:
                    pairs[shell, "-".join(sorted((symbols[i], symbols[j])))] += 1
    names = [f"{a}-{b}" for n, a in enumerate(SPECIES) for b in SPECIES[n:]]
    points = [symbols.count(symbol) for symbol in SPECIES]
    return np.array([*points, *(pairs[shell, name] for shell in range(1, 8) for name in names)]) / len(symbols)


def milliseconds(action, arguments: list) -> tuple[float, list]:
    """Time per call, and the results."""
    start = time.perf_counter()
    results = [action(argument) for argument in arguments]
    return 1000 * (time.perf_counter() - start) / len(arguments), results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structures", type=int, nargs="?", default=200, help="how many; 200 when not given")
    structures = made(parser.parse_args().structures)
    map_to_lattice(structures[0])
    mapping, mapped = milliseconds(map_to_lattice, structures)
    occupations = [one.occupation[None] for one in mapped]
    counting, counts = milliseconds(cluster_counts, occupations)
    ordering, _ = milliseconds(short_range_order, counts)
    looping, looped = milliseconds(loops, [occupation[0] for occupation in occupations[:2]])
    if np.abs(np.concatenate(counts[:2]) - looped).max() > 1e-12:
        raise SystemExit("the loops count otherwise")
    at_once, _ = milliseconds(
        lambda all_of_them: short_range_order(cluster_counts(all_of_them)), [np.concatenate(occupations)]
    )
    turned = [one.copy() for one in structures[:20]]
    for one in turned:
        one.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ one.cell.array)
    without_sites, _ = milliseconds(map_to_lattice, turned)
    print(f"mapping on the lattice, found by itself, and counts {mapping:9.2f} ms")
    print(f"cluster counts                                      {counting:9.2f} ms")
    print(f"short-range order                                   {ordering:9.2f} ms")
    print(f"counts and order, {len(structures)} structures at once            {at_once / len(structures):9.2f} ms")
    print(f"rotated lattice, without sites                      {without_sites:9.2f} ms")
    print(f"cluster counts by Python loops                      {looping:9.0f} ms, {looping / counting:.0f}x ours")
