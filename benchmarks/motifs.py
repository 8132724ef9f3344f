"""CPU seconds per structure of motif fingerprints: matminer, a loop over pymatgen's CrystalNN, and ours.

    python -m benchmarks.motifs STRUCTURES.extxyz --species Li Co Sc --output motif_benchmark.csv

All run in one process and one thread, in turns, on the same structures, rattled, so that each has disordered sites. The
ratios are medians over turns. The pymatgen column is the neighbour search alone, without order parameters.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from pymatgen.analysis.local_env import CrystalNN
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from cryingan.metrics.motifs.fingerprints import MotifSettings, fingerprints

OXIDATION_STATES = {"Li": 1, "Sc": 3, "Co": 3, "Cl": -1, "O": -2}


def rattled(atoms: Atoms, displacement: float, seed: int) -> Atoms:
    """A copy whose atoms moved at random."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, displacement, moved.positions.shape)
    return moved


def sites_of(atoms: Atoms, species: tuple[str, ...]) -> list[int]:
    """Atoms of some species, species by species."""
    symbols = np.array(atoms.get_chemical_symbols())
    return [int(site) for one in species for site in np.flatnonzero(symbols == one)]


def in_pymatgen(atoms: Atoms, ions: bool) -> Structure:
    """The structure with oxidation states, if it has ions."""
    structure = AseAtomsAdaptor.get_structure(atoms)
    if ions:
        present = {element.symbol for element in structure.elements}
        structure.add_oxidation_state_by_element({symbol: OXIDATION_STATES[symbol] for symbol in present})
    return structure


def with_matminer(atoms: Atoms, settings: MotifSettings) -> np.ndarray:
    """What a user of matminer writes."""
    from matminer.featurizers.site import CrystalNNFingerprint

    ions = settings.oxidation_states is not None
    structure = in_pymatgen(atoms, ions)
    featurizer = CrystalNNFingerprint.from_preset("ops", cation_anion=ions)
    return np.array([featurizer.featurize(structure, site) for site in sites_of(atoms, settings.species)])


def with_pymatgen(atoms: Atoms, settings: MotifSettings) -> None:
    """Neighbours of every coordination number."""
    ions = settings.oxidation_states is not None
    structure, finder = in_pymatgen(atoms, ions), CrystalNN(cation_anion=ions)
    for site in sites_of(atoms, settings.species):
        finder.get_nn_data(structure, site)


def ours(atoms: Atoms, settings: MotifSettings) -> np.ndarray:
    """This project's."""
    return np.concatenate(list(fingerprints(atoms, settings).values()))[:, :61]


WAYS: dict[str, Callable[[Atoms, MotifSettings], np.ndarray | None]] = {
    "matminer": with_matminer,
    "pymatgen loop": with_pymatgen,
    "ours": ours,
}


def measure(structures: list[Atoms], settings: MotifSettings) -> list[dict[str, float]]:
    """CPU seconds of every way for each structure; matminer's and our numbers must agree."""
    rows = []
    for way in WAYS.values():
        way(structures[0], settings)
    for atoms in structures:
        row, results = {}, {}
        for name, way in WAYS.items():
            start = time.process_time()
            results[name] = way(atoms, settings)
            row[name] = time.process_time() - start
        row["largest difference"] = float(np.abs(results["matminer"] - results["ours"]).max())
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print and write a CSV with a row for each structure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structures", type=Path, help="file whose first structure is rattled")
    parser.add_argument("--species", nargs="+", default=["Li", "Co", "Sc"])
    parser.add_argument("--neutral", action="store_true", help="without oxidation states")
    parser.add_argument("--displacement", type=float, default=0.2, help="of every coordinate, Angstrom")
    parser.add_argument("--n", type=int, default=5, help="structures")
    parser.add_argument("--output", type=Path, default=Path("motif_benchmark.csv"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # pymatgen warns at every site without oxidation states
    first = ase.io.read(arguments.structures, index=0)
    settings = MotifSettings(tuple(arguments.species), None if arguments.neutral else OXIDATION_STATES)
    rows = measure([rattled(first, arguments.displacement, seed) for seed in range(arguments.n)], settings)
    print(f"{len(first)} atoms, {len(sites_of(first, settings.species))} sites, {arguments.n} structures")
    for name in WAYS:
        seconds = statistics.median(row[name] for row in rows)
        ratio = statistics.median(row["matminer"] / row[name] for row in rows)
        print(f"{name:16s}{seconds:9.4f} CPU s per structure, {ratio:6.1f} times as fast as matminer")
    print(f"largest difference from matminer {max(row['largest difference'] for row in rows):.1e}")
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
