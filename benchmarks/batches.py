"""M3GNet in batches: evaluations and relaxations per second, memory, against one CPU core: `benchmarks.batches`.

Structures are rattled copies of the first one of a data set, with the potential that comes with the set. A relaxation
has so many FIRE steps, whatever the forces. The CPU side relaxes one structure in this process with one thread.

    python -m benchmarks.batches [--device cuda] [--batches 1 8 32 128] [--steps 20] [--output FILE.csv]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks import command
from benchmarks.measuring import peak_since
from benchmarks.relax import NEVER, rattled
from benchmarks.tables import write_table
from cryingan.potentials.potential import Potential, load_potential
from cryingan.relaxation.relax import relax
from cryingan.relaxation.settings import RelaxSettings
from cryingan.storage.atomic import ROOT
from cryingan.structures.crystals import Crystals

SETS = ("li2o_licl", "lsc_lco")  # 77 and 264 atoms
CPU_STEPS = 3


def elapsed(action: Callable[[], object], device: str) -> float:
    """Seconds of one call, after which a GPU has done its work."""
    begun = time.perf_counter()
    action()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def relaxation(crystals: Crystals, potential: Potential, steps: int) -> Callable[[], object]:
    """A function that relaxes them for so many steps, in this process."""
    settings = RelaxSettings(fmax=NEVER, max_steps=steps, backend="serial", progress=False)
    return lambda: relax(crystals, potential, settings)


def measure(name: str, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each batch size of one data set."""
    folder, device = ROOT / "data/interface" / name, arguments.device
    crystals = rattled(folder / f"{name}.extxyz.gz", max(arguments.batches))
    cpu = load_potential("m3gnet", folder / "potential")
    cpu.evaluate(crystals[:1].to_ase())
    steps = min(CPU_STEPS, arguments.steps)
    core = elapsed(relaxation(crystals[:1], cpu, steps), "cpu") / (steps + 1)  # seconds per step of a structure
    potential = load_potential("m3gnet", folder / "potential", device)
    rows = []
    for batch in arguments.batches:
        some = crystals[:batch]
        frames = some.to_ase()
        potential.atoms_per_batch = batch * len(crystals.species)
        potential.evaluate(frames)
        before = peak_since(device)
        evaluated = elapsed(lambda frames=frames: potential.evaluate(frames), device)
        memory = peak_since(device, before)
        relaxed = elapsed(relaxation(some, potential, arguments.steps), device)
        rows.append(
            {
                "set": name,
                "atoms": len(crystals.species),
                "batch": batch,
                "evaluations_per_second": batch / evaluated,
                "steps": arguments.steps,
                "relaxations_per_second": batch / relaxed,
                "by_one_core": core * (arguments.steps + 1) * batch / relaxed,
                "memory": memory,
                "atoms_at_once": potential.atoms_per_batch,
            }
        )
    return rows


def main() -> None:
    """Measure, print, and write the table."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--batches", nargs="+", type=command.positive, default=[1, 8, 32, 128])
    parser.add_argument("--steps", type=command.positive, default=20, help="FIRE steps of a relaxation")
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--output", type=command.output, help="CSV to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    for name in arguments.sets:
        rows += measure(name, arguments)
        if arguments.output:
            write_table(arguments.output, rows)
    for row in rows:
        print(" ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
