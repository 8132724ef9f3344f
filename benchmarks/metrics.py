"""Seconds of whole evaluations: `python -m benchmarks.metrics INTERFACE.extxyz [structures]`.

The first structure of the file is rattled by 0.1 Angstrom as often as wanted; a 216-atom silicon cell and a 256-atom
alloy are made. What one structure costs on one core stands beside a plain loop (radial distribution functions: ASE's
neighbour list and a histogram for each pair; bond angles: pymatgen's CrystalNN, atom by atom), and then the wall time
of the whole command, with reading, several processes, keeping what was done, bootstrap, tables and figures. Motifs
against matminer: `benchmarks.motifs`; cluster counts against a loop: `benchmarks.alloy_metrics`.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from ase.neighborlist import neighbor_list

from cryingan.evaluation.benchmarks.alloy import AlloyBenchmark
from cryingan.evaluation.benchmarks.interface import InterfaceBenchmark
from cryingan.evaluation.benchmarks.silicon import SiliconBenchmark
from cryingan.evaluation.evaluate import evaluate
from cryingan.metrics.alloy.fcc import SPECIES, fcc_sites
from cryingan.metrics.angles import bond_angle_histogram
from cryingan.metrics.radial import partial_rdfs

REPEATS = 3


def rattled(atoms: Atoms, count: int, seed: int) -> list[Atoms]:
    """Copies whose atoms moved at random."""
    rng = np.random.default_rng(seed)
    copies = [atoms.copy() for _ in range(count)]
    for copy in copies:
        copy.positions += rng.normal(0, 0.1, copy.positions.shape)
    return copies


def alloy() -> Atoms:
    """A random occupation of the benchmark's lattice."""
    symbols = np.random.default_rng(0).permutation(np.repeat(SPECIES, [51, 154, 51]))
    return Atoms(symbols, scaled_positions=fcc_sites(), cell=np.eye(3) * 14.4, pbc=True)


def rdfs_by_ase(atoms: Atoms, pairs: tuple[tuple[str, str], ...]) -> np.ndarray:
    """Radial distribution functions from ASE's neighbour list."""
    symbols = np.array(atoms.get_chemical_symbols())
    first, second, distances = neighbor_list("ijd", atoms, 10.0)
    shells = np.diff(np.linspace(0, 10, 501) ** 3) * 4 * np.pi / 3 / atoms.cell.volume
    curves = []
    for a, b in pairs:
        chosen = distances[(symbols[first] == a) & (symbols[second] == b)]
        expected = (symbols == a).sum() * (symbols == b).sum() * shells
        curves.append(np.histogram(chosen, 500, (0, 10))[0] / expected)
    return np.array(curves)


def angles_by_pymatgen(atoms: Atoms) -> np.ndarray:
    """Bond angle distribution from pymatgen's neighbours, atom by atom."""
    from pymatgen.analysis.local_env import CrystalNN
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(atoms)
    finder = CrystalNN(distance_cutoffs=None, x_diff_weight=0, porous_adjustment=False)
    angles = []
    for site in range(len(structure)):
        vectors = [one["site"].coords - structure[site].coords for one in finder.get_nn_info(structure, site)]
        for u, v in combinations(vectors, 2):
            angles.append(np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))))
    return np.histogram(angles, 360, (0, 180))[0] / len(angles)


def seconds(function: Callable[..., object], structures: list[Atoms], *arguments: object) -> float:
    """Median CPU seconds of a function of one structure."""
    times = []
    for atoms in structures[:REPEATS]:
        start = time.process_time()
        function(atoms, *arguments)
        times.append(time.process_time() - start)
    return median(times)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("interface", type=Path)
    parser.add_argument("structures", type=int, nargs="?", default=50)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # pymatgen's, of guessed radii
    benchmarks = InterfaceBenchmark(), SiliconBenchmark(), AlloyBenchmark()
    sources = read(arguments.interface, 0), bulk("Si", cubic=True) * (3, 3, 3), alloy()
    sets = [rattled(atoms, arguments.structures, 1) for atoms in sources]
    interface, silicon, _ = sets
    pairs = InterfaceBenchmark().pairs
    InterfaceBenchmark().describe(interface[0])  # imports
    print("| one structure, one core | CPU s | loop, CPU s |\n| --- | --- | --- |")
    ours, loop = (seconds(function, interface, pairs) for function in (partial_rdfs, rdfs_by_ase))
    print(f"| {len(pairs)} RDFs of {len(interface[0])} atoms | {ours:.3f} | {loop:.3f} |")
    ours, loop = (seconds(function, silicon) for function in (bond_angle_histogram, angles_by_pymatgen))
    print(f"| bond angles of {len(silicon[0])} atoms | {ours:.3f} | {loop:.3f} |")
    for benchmark, made in zip(benchmarks, sets, strict=True):
        print(f"| all of {benchmark.kind}, {len(made[0])} atoms | {seconds(benchmark.describe, made):.3f} | |")
    print(f"\n| {arguments.structures} structures, {os.cpu_count()} processors | wall s |\n| --- | --- |")
    for benchmark, atoms in zip(benchmarks, sources, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            for name, seed in (("reference", 2), ("generated", 3)):
                write(
                    f"{folder}/{name}.extxyz", rattled(atoms, 2 if name == "reference" else arguments.structures, seed)
                )
            start = time.monotonic()
            evaluate(f"{folder}/generated.extxyz", f"{folder}/reference.extxyz", benchmark, output=f"{folder}/out")
            print(f"| {benchmark.kind} | {time.monotonic() - start:.1f} |", flush=True)


if __name__ == "__main__":
    main()
