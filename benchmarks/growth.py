"""How our step grows with atoms, structures and neighbours, and what a second core gains: `benchmarks.growth`.

Steps of random structures of three species at the density of the interface. On a CPU times are CPU time of the process,
each the least of some rounds, and memory is that of two cycles in a process of its own. With threads, time is elapsed
time and thread counts take turns in one process; a busy machine spoils it.

    python -m benchmarks.growth [--studies atoms] [--device cuda] [--rounds 3] [--output FILE.csv] [--figure FILE.png]
    python -m benchmarks.growth --threads 1 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks import command
from benchmarks.measuring import seconds
from benchmarks.sides import CYCLE, Case, Sides, peak_of_cycles
from benchmarks.tables import write_table

VOLUME = 20.9  # Angstrom^3 per atom
# What grows, and what the others are then: batches of 8 make 4096 atoms fit into 8 GB.
GROWTH = {
    "atoms": ([64, 128, 256, 512, 1024, 2048, 4096], {"structures": 8, "k": 6}),
    "structures": ([4, 8, 16, 32, 64], {"atoms": 264, "k": 6}),
    "k": ([3, 6, 12, 24, 48], {"atoms": 264, "structures": 32}),
}


def case_of(atoms: int, structures: int, k: int, device: str, weight: float = 0.05) -> Case:
    """Random structures in a cube."""
    side = (VOLUME * atoms) ** (1 / 3)
    thirds = [len(range(start, atoms, 3)) for start in range(3)]
    cell = [[side, 0.0, 0.0], [0.0, side, 0.0], [0.0, 0.0, side]]
    return Case(dict(zip(("Cr", "Fe", "Ni"), thirds, strict=True)), cell, weight, structures, k, device)


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Seconds of both steps, and memory of two cycles in GiB."""
    memory = peak_of_cycles(case, "ours")
    sides = Sides(case)
    times: dict[str, list[float]] = {"critic": [], "generator": []}
    for number in range(rounds + 1):
        times["critic"].append(seconds(sides.critic_steps(number)["ours"], case.device))
        times["generator"].append(seconds(sides.generator_steps(number)["ours"], case.device))
    critic, generator = (min(values[1:]) for values in times.values())
    return {"critic": critic, "generator": generator, "cycle": CYCLE * critic + generator, "memory": memory}


def grown(arguments: argparse.Namespace) -> list[dict]:
    """A row for every size, on a CPU each measured in a process of its own."""
    rows: list[dict] = []
    for study in arguments.studies:
        values, others = GROWTH[study]
        for value in (size for size in values if size <= (arguments.largest or size)):
            sizes = {**others, study: value}
            case = {**sizes, "device": arguments.device}
            found = measure_apart(case, arguments.rounds)
            rows.append({"study": study, **{name: sizes[name] for name in GROWTH}, **found})
            if arguments.output:
                write_table(arguments.output, rows)
            print(
                " ".join(f"{v:>10.3f}" if isinstance(v, float) else f"{v:>10}" for v in rows[-1].values()), flush=True
            )
    return rows


def measure_apart(case: dict, rounds: int) -> dict[str, float]:
    """`measure` in a process of its own, whose memory is counted; the memory of a GPU is counted anew in this one."""
    if case["device"].startswith("cuda"):
        return measure(case_of(**case), rounds)
    call = [sys.executable, "-m", "benchmarks.growth", "--case", json.dumps(case), "--rounds", str(rounds)]
    told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    return json.loads(told.splitlines()[-1])


def draw(rows: list[dict], path: Path) -> None:
    """Time and memory of a cycle against what grows."""
    from cryingan.plots.style import BLUE, GREY, new_figure, save_figure, style

    studies = list(dict.fromkeys(row["study"] for row in rows))
    figure = new_figure(len(studies), 2, height=1.8, sharex="col", sharey="row")
    labels = {"atoms": "atoms (8 structures)", "structures": "structures (264 atoms)", "k": "k (32 x 264 atoms)"}
    for column, study in enumerate(studies):
        chosen = [row for row in rows if row["study"] == study]
        sizes = [row[study] for row in chosen]
        for line, quantity in enumerate(("cycle", "memory")):
            axis, values = figure.axes[line * len(studies) + column], [row[quantity] for row in chosen]
            axis.loglog(sizes, values, color=BLUE, marker="o", label="cycle")
            axis.loglog(sizes, [values[-1] * size / sizes[-1] for size in sizes], color=GREY, ls=":", label="linear")
        axis.set_xlabel(labels[study])
    figure.axes[0].set_ylabel("time (s)")
    figure.axes[len(studies)].set_ylabel("memory (GiB)")
    with style():
        figure.axes[0].legend()
    save_figure(figure, path)


def compare_threads(counts: list[int], rounds: int) -> None:
    """Elapsed time of a cycle by number of threads, 32 structures of 264 atoms."""
    for weight in (0.05, 0.0):
        sides = Sides(case_of(264, 32, 6, "cpu", weight))
        least: dict[int, dict[str, float]] = {count: {"critic": 1e9, "generator": 1e9} for count in counts}
        for number in range(rounds + 1):
            for count in counts:
                torch.set_num_threads(count)
                for kind, steps in (
                    ("critic", sides.critic_steps(number)),
                    ("generator", sides.generator_steps(number)),
                ):
                    start = time.monotonic()
                    steps["ours"]()
                    least[count][kind] = min(least[count][kind], time.monotonic() - start)
        cycles = {count: CYCLE * kinds["critic"] + kinds["generator"] for count, kinds in least.items()}
        for count, cycle in cycles.items():
            print(f"lambda {weight}, {count} threads: cycle {cycle:.2f} s, {cycles[counts[0]] / cycle:.2f} x as fast")


def main() -> None:
    """Measure, print, write and draw."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--rounds", type=command.positive, default=3)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--studies", nargs="+", default=list(GROWTH), choices=list(GROWTH))
    parser.add_argument("--largest", type=command.positive, help="leave out sizes above this")
    parser.add_argument("--threads", nargs="+", type=command.positive)
    parser.add_argument("--output", type=command.output, help="CSV to write")
    parser.add_argument("--figure", type=command.output, help="figure to write")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(case_of(**arguments.case), arguments.rounds)))
        return
    if arguments.threads:
        compare_threads(arguments.threads, arguments.rounds)
        return
    rows = grown(arguments)
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
