"""What neighbour distances cost, against brute force over images: `python -m benchmarks.distances`.

The other side searches the 27 images around; in a thin or skewed cell, where 27 are too few or too many, exactly those
by which some neighbour is reached, as if an oracle had named them. Both sides get the same random structures, must give
the same distances and gradients in float64, and then take turns in float32 in one process. On a CPU the time is CPU
time of the process, on a GPU that of CUDA events; medians over rounds. Memory is measured in processes of their own.

    python -m benchmarks.distances [--device cuda] [--rounds 7] [--output distances.csv]

The figure, of how time and memory grow with atoms, structures and neighbours, stands beside the CSV.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import command
from benchmarks.measuring import SYSTEMS, peak_since, take_turns
from benchmarks.plain_distances import NEIGHBORING, images_that_matter, plain_distances
from benchmarks.tables import write_table
from cryingan.geometry.distances import neighbor_distances
from cryingan.plots.style import BLUE, VERMILION, legend_above, new_figure, save_figure, style

SIDES = ("plain", "ours")
VOLUME = 20.0  # Angstrom^3 per atom of the cubic cells that grow
LARGEST_PLAIN = 7e7  # distances, some 1 GiB with their gradient
TOLERANCE = 1e-8
CELLS = {
    **{name: (sum(counts.values()), cell) for name, (counts, cell) in SYSTEMS.items()},
    "thin": (264, [[4.0, 0, 0], [0, 26.0, 0], [0, 0, 51.0]]),
    "very thin": (264, [[3.0, 0, 0], [0, 4.0, 0], [0, 0, 440.0]]),
    "skewed": (264, [[14.0, 0, 0], [35.0, 14.0, 0], [-20.0, 33.0, 27.0]]),
    "thin and skewed": (264, [[4.0, 0, 0], [10.0, 24.0, 0], [9.0, 33.0, 55.0]]),
}
GROWTH = {
    "atoms": (64, 128, 256, 512, 1024, 2048, 4096),
    "structures": (1, 4, 16, 64, 256),
    "k": (1, 3, 6, 12, 24, 48),
}
STUDIES = ["cells", *GROWTH]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        study: cells, or what grows: atoms, structures or k.
        cell: a name of `CELLS`, or cubic.
    """

    study: str
    cell: str
    atoms: int
    structures: int
    k: int
    backward: bool

    def rows(self) -> Tensor:
        """Lattice vectors in rows, Angstrom, float64, (3, 3)."""
        if self.cell == "cubic":
            return torch.eye(3, dtype=torch.float64) * (self.atoms * VOLUME) ** (1 / 3)
        return torch.tensor(CELLS[self.cell][1], dtype=torch.float64)

    def fractional(self) -> Tensor:
        """Random structures, float32, (structures, atoms, 3)."""
        return torch.rand(self.structures, self.atoms, 3, generator=torch.Generator().manual_seed(0))


@cache
def searched(cell: str, atoms: int, structures: int, k: int) -> tuple:
    """The images that the plain side searches."""
    if cell == "cubic" or cell in SYSTEMS:
        return NEIGHBORING
    case = Case("cells", cell, atoms, structures, k, False)
    return images_that_matter(case.fractional(), case.rows(), k)


def cases(studies: list[str]) -> list[Case]:
    """Every cell forward and with the gradient, then what grows, always with the gradient."""
    table = [Case("cells", name, CELLS[name][0], 32, 6, backward) for backward in (False, True) for name in CELLS]
    growth = [Case("atoms", "cubic", atoms, 8, 6, True) for atoms in GROWTH["atoms"]]
    growth += [Case("structures", "interface", 264, structures, 6, True) for structures in GROWTH["structures"]]
    growth += [Case("k", "interface", 264, 8, k, True) for k in GROWTH["k"]]
    return [case for case in table + growth if case.study in studies]


def actions(case: Case, device: str, images: tuple) -> dict[str, Callable[[], object]]:
    """One call of each side; the plain one only where its memory is bounded."""
    fractional = case.fractional().to(device).requires_grad_(case.backward)
    rows = case.rows()
    plain_rows = rows.to(fractional)

    def with_gradient(found: Tensor) -> None:
        if case.backward:
            torch.autograd.grad(found.sum(), fractional)

    sides = {"ours": lambda: with_gradient(neighbor_distances(fractional, rows, case.k))}
    if case.structures * case.atoms**2 * len(images) <= LARGEST_PLAIN:
        sides["plain"] = lambda: with_gradient(plain_distances(fractional, plain_rows, case.k, images))
    return sides


def require_equal(case: Case, images: tuple, device: str) -> None:
    """Stop if the sides differ in float64 for the first structures, in distances or gradients."""
    fractional, rows = case.fractional()[:2].double().to(device).requires_grad_(), case.rows()
    plain = plain_distances(fractional, rows.to(device), case.k, images)
    found = neighbor_distances(fractional, rows, case.k), plain
    weights = torch.rand(plain.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(device)
    gradients = [torch.autograd.grad((weights * distances).sum(), fractional)[0] for distances in found]
    for what, (ours, plain) in {"distances": found, "gradients": gradients}.items():
        worst = (ours - plain).abs().max().item()
        if not worst < TOLERANCE:
            raise SystemExit(f"{case}: the {what} of the sides differ by {worst}")


def measure(case: Case, arguments: argparse.Namespace) -> dict:
    """A row of the table: what the case is, seconds and GiB of both sides, ratio."""
    images = searched(case.cell, case.atoms, case.structures, case.k)
    sides = actions(case, arguments.device, images)
    if "plain" in sides:
        require_equal(case, images, arguments.device)
    times = take_turns(sides, arguments.rounds, arguments.device)
    row = {**asdict(case), "images": len(images)}
    for side in SIDES:
        row[f"{side}_seconds"] = statistics.median(times[side]) if side in sides else None
        row[f"{side}_memory"] = peak_memory(case, side, images, arguments.device) if side in sides else None
    ratios = [plain / ours for plain, ours in zip(times.get("plain", []), times["ours"], strict=False)]
    return {**row, "ratio": statistics.median(ratios) if ratios else None}


def peak_memory(case: Case, side: str, images: tuple, device: str) -> float:
    """Memory that one call takes beyond the program and what it is given, GiB; on a CPU in a process of its own."""
    if device.startswith("cuda"):
        return peak(case, side, images, device)
    context = get_context("forkserver")
    context.set_forkserver_preload(["cryingan.geometry.distances"])  # torch is loaded once
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(peak, case, side, images, device).result()


def peak(case: Case, side: str, images: tuple, device: str) -> float:
    """What `peak_memory` does there; a small case goes before, for what any call loads."""
    actions(replace(case, atoms=8, structures=1, k=2), device, NEIGHBORING)[side]()
    action = actions(case, device, images)[side]
    before = peak_since(device)
    action()
    return peak_since(device, before)


@style()
def draw(rows: list[dict], path: Path) -> None:
    """Seconds and memory of both sides against everything that grows."""
    figure = new_figure(len(GROWTH), 2, height=1.8, sharex="col", sharey="row")
    labels = "atoms (8 structures)", "structures (264 atoms)", "k (8 structures, 264 atoms)"
    for column, (study, values) in enumerate(GROWTH.items()):
        chosen = [row for row in rows if row["study"] == study]
        for line, quantity in enumerate(("seconds", "memory")):
            axis = figure.axes[line * len(GROWTH) + column]
            for side, color, marker in (("plain", VERMILION, "s"), ("ours", BLUE, "o")):
                points = [(row[study], row[f"{side}_{quantity}"]) for row in chosen if row[f"{side}_{quantity}"]]
                axis.loglog(*zip(*points, strict=True), color=color, marker=marker, label=side)
        axis.set(xlabel=labels[column], xticks=values[::2], xticklabels=values[::2])
        axis.set_xticks([], minor=True)
    figure.axes[0].set_ylabel("time (s)")
    figure.axes[len(GROWTH)].set_ylabel("memory (GiB)")
    legend_above(figure, figure.axes[0].get_legend_handles_labels()[0])
    save_figure(figure, path)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--rounds", type=command.positive, default=7)
    parser.add_argument("--studies", nargs="+", default=STUDIES, choices=STUDIES, help="all of them: with a figure")
    parser.add_argument("--output", type=command.output, help="CSV to write, with a figure beside it")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write table and figure."""
    arguments = parse()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    rows = []
    for case in cases(arguments.studies):
        rows.append(measure(case, arguments))
        values = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in rows[-1].items()}
        if len(rows) == 1:
            print(" ".join(f"{name:>15}" for name in values))
        print(" ".join(f"{value!s:>15}" for value in values.values()), flush=True)
        if arguments.output:
            write_table(arguments.output, rows)  # after every case: all of them take long
    if arguments.output and set(STUDIES) <= set(arguments.studies):
        draw(rows, arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
