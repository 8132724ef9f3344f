"""Seconds per structure of relaxing with FIRE: ASE one by one against processes and batches of `cryingan.relaxation`.

    python -m benchmarks.relax WEIGHTS_FOLDER STRUCTURE.extxyz --output relax_benchmark.csv

Every way relaxes the same rattled copies for the same number of steps. The ways take turns, round by round, and the
ratios are medians over rounds of one round's ratios, so that a machine that drifts or is shared spoils them less.
CPU seconds include those of worker processes (Linux).
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io import read
from ase.optimize import FIRE
from joblib import Parallel, delayed, parallel_config

from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.backends import CONNECT
from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.structures.crystals import Crystals

NEVER = 1e-9  # eV/Angstrom, a target that no structure reaches
RATTLE = 0.1  # Angstrom


def rattled(path: Path, n: int) -> Crystals:
    """`n` copies of the structure in a file, their atoms moved at random."""
    atoms, rng = read(path), np.random.default_rng(0)
    frames = [atoms.copy() for _ in range(n)]
    for frame in frames:
        frame.positions += rng.normal(0, RATTLE, frame.positions.shape)
    return Crystals.from_ase(frames)


class PotentialCalculator(Calculator):
    """The same potential as an ASE calculator."""

    implemented_properties = ("energy", "forces")

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(self, atoms: Atoms, properties: list[str], system_changes: list[str] = all_changes) -> None:
        """Evaluate one structure."""
        super().calculate(atoms, properties, system_changes)
        energies, forces = self.potential.evaluate([self.atoms])
        self.results = {"energy": energies[0], "forces": forces[0]}


def matgl_calculator(weights: str) -> Calculator:
    """The calculator that comes with matgl, without stress; wrong energies for old weights, but the same work."""
    import matgl
    from matgl.ext.ase import PESCalculator

    loaded = matgl.load_model(weights)
    loaded.calc_stresses = False
    return PESCalculator(loaded, stress_unit="eV/A3")


def ase_one_by_one(crystals: Crystals, steps: int, calculator: Calculator, threads: int = 1) -> None:
    """What a user writes without this project."""
    torch.set_num_threads(threads)
    for atoms in crystals.to_ase():
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=NEVER, steps=steps)
    torch.set_num_threads(1)


def ours(crystals: Crystals, steps: int, potential: Potential, processes: int = 1, batch: int = 1) -> None:
    """Processes, or one process with `batch` structures at a time."""
    potential.atoms_per_batch = batch * len(crystals.species)
    relax(crystals, potential, RelaxSettings(fmax=NEVER, max_steps=steps, processes=processes, progress=False))


def worker_ids(processes: int) -> list[int]:
    """Process numbers of the workers that `relax` uses."""
    with CONNECT["loky"](None) as options, parallel_config(**options):
        return sorted(set(Parallel(processes)(delayed(os.getpid)() for _ in range(20 * processes))))


def cpu_seconds(processes: list[int]) -> float:
    """CPU time of this process and of others, so far."""
    ticks = 0
    for number in processes:
        stat = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(stat[11]) + int(stat[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def ways(arguments: argparse.Namespace, potential: Potential) -> dict[str, Callable[[Crystals, int], None]]:
    """Name and function of every way to compare; the first is what ratios refer to."""
    calculator, stock = PotentialCalculator(potential), matgl_calculator(arguments.weights)
    made = {
        "ASE one by one": lambda *work: ase_one_by_one(*work, calculator),
        "ASE one by one, matgl's calculator": lambda *work: ase_one_by_one(*work, stock),
        "ours, 1 process": lambda *work: ours(*work, potential),
    }
    if arguments.threads:
        made[f"ASE, {arguments.threads} threads"] = lambda *work: ase_one_by_one(*work, calculator, arguments.threads)
    if potential.device == "cpu":
        made["ours, 2 processes"] = lambda *work: ours(*work, potential, processes=2)
    for batch in arguments.batches:
        made[f"ours, batches of {batch}"] = lambda *work, batch=batch: ours(*work, potential, batch=batch)
    return made


def measure(arguments: argparse.Namespace) -> list[dict[str, float | str]]:
    """Time every way in turns; one row a way."""
    potential = load_potential("m3gnet", arguments.weights, arguments.device)
    crystals = rattled(arguments.structure, arguments.n)
    compared = ways(arguments, potential)
    for way in compared.values():
        way(crystals[:2], 0)
    workers = worker_ids(2) if potential.device == "cpu" else []
    wall, cpu = np.zeros((2, arguments.rounds, len(compared)))
    for turn in range(arguments.rounds):
        for place, way in enumerate(compared.values()):
            start = time.perf_counter(), cpu_seconds(workers)
            way(crystals, arguments.steps)
            wall[turn, place] = time.perf_counter() - start[0]
            cpu[turn, place] = cpu_seconds(workers) - start[1]
    evaluations = arguments.n * (arguments.steps + 1)
    return [
        {
            "way": name,
            "wall seconds per structure": np.median(wall[:, place]) / arguments.n,
            "CPU seconds per structure": np.median(cpu[:, place]) / arguments.n,
            "evaluations per second": evaluations / np.median(wall[:, place]),
            "wall ratio to ASE": np.median(wall[:, place] / wall[:, 0]),
            "CPU ratio to ASE": np.median(cpu[:, place] / cpu[:, 0]),
        }
        for place, name in enumerate(compared)
    ]


def main() -> None:
    """Measure, print a table and write it as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="folder of an M3GNet")
    parser.add_argument("structure", type=Path, help="file with the structure to rattle")
    parser.add_argument("--n", type=int, default=4, help="structures")
    parser.add_argument("--steps", type=int, default=5, help="FIRE steps of each")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every way")
    parser.add_argument("--batches", type=int, nargs="*", default=[4], help="structures per batch")
    parser.add_argument("--threads", type=int, help="time ASE with so many torch threads, too")
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--output", type=Path, default=Path("relax_benchmark.csv"), help="CSV to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(arguments)
    for row in rows:
        name, *values = row.values()
        print(f"{name:36s}" + "".join(f"{value:10.3f}" for value in values))
    print("columns: " + ", ".join(list(rows[0])[1:]))
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
