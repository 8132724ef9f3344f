"""What a training cycle costs, against a plain version of the same mathematics: `python -m benchmarks.step`.

A cycle is five steps of the discriminators and one of the generator. Both sides start with the same weights, get the
same batches, noise and interpolation points, and take turns step by step in one process; their losses are compared.
On a CPU the time is CPU time of the process, on a GPU that of CUDA events; medians over rounds.

Our products are those of the library that a training would take (trainer.linear_algebra), unless
`--linear-algebra` names one; the plain side's are PyTorch's own.

    python -m benchmarks.step [--device cuda [--tf32] [--capture]] [--rounds 5] [--lambdas 0.05 0] [--output step.csv]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import command
from benchmarks.machine import processor
from benchmarks.measuring import SYSTEMS
from benchmarks.sides import CYCLE, SIDES, Case, Sides, compare, peak_of_cycles, seconds
from benchmarks.tables import write_table
from cryingan.devices import keep_freed_memory
from cryingan.linear_algebra import MKL, ONEDNN, linear, quickest, speeds, use_library
from cryingan.training.cuda_graphs import WARM_UP


@dataclass
class Result:
    """One line of the table.

    Attributes:
        critic_step: seconds, as the generator's step and the cycle.
        ratio: time of the plain side's cycle by this side's.
        gflop_per_second: operations of the products that a cycle needs, by its time; the same number for both sides.
        share_of_floor: this by the speed of one large product of the quickest library.
        peak_memory: of a cycle, over that of the loaded program, GiB.
    """

    system: str
    lambda_: float
    side: str
    critic_step: float
    generator_step: float
    cycle: float
    ratio: float
    gflop_per_second: float
    share_of_floor: float
    peak_memory: float


class Products(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions.

    PyTorch's own counter follows modules by hooks, which fail inside of a `torch.autograd.Function`.
    """

    flops = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation, and count it if it is a product."""
        found = operation(*args, **(kwargs or {}))
        if formula := flop_registry.get(operation.overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=found)
        return found


def cycle_flops(sides: Sides) -> float:
    """Floating-point operations of our cycle's matrix products: no exact way is known that needs fewer."""
    counts = []
    for steps in (sides.critic_steps(0), sides.generator_steps(0)):
        with Products() as products:
            steps["ours"]()
        counts.append(products.flops)
    return CYCLE * counts[0] + counts[1]


def measure(system: str, weight: float, peak: float, arguments: argparse.Namespace) -> list[Result]:
    """Both sides of one case."""
    sides = Sides(case_of(system, weight, arguments))
    sides.require_equal(1e-2 if arguments.tf32 else 1e-3)
    for _ in range(WARM_UP if arguments.capture else 0):
        compare(sides, 1, arguments.device)
    times = compare(sides, arguments.rounds, arguments.device)
    cycles = {
        side: [CYCLE * c + g for c, g in zip(times["critic"][side], times["generator"][side], strict=True)]
        for side in SIDES
    }
    ratio = statistics.median(plain / ours for plain, ours in zip(cycles["plain"], cycles["ours"], strict=True))
    gflop = cycle_flops(Sides(case_of(system, weight, arguments)._replace(capture=False))) / 1e9
    results = []
    for side in SIDES:
        cycle = statistics.median(cycles[side])
        critic, generator = (statistics.median(times[kind][side]) for kind in ("critic", "generator"))
        memory = peak_memory(system, weight, side, arguments)
        speed, shown = gflop / cycle, ratio if side == "ours" else 1.0
        line = (system, weight, side, critic, generator, cycle, shown, speed, speed / peak, memory)
        results.append(Result(*line))
    return results


def case_of(system: str, weight: float, arguments: argparse.Namespace) -> Case:
    """What the command line asks for."""
    size, device, capture = arguments.batch_size, arguments.device, arguments.capture
    return Case(*SYSTEMS[system], weight, size, device=device, capture=capture)


def peak_memory(system: str, weight: float, side: str, arguments: argparse.Namespace) -> float:
    """`peak_of_cycles` in a process of its own."""
    call = [sys.executable, "-m", "benchmarks.step", "--peak", system, str(weight), side]
    call += ["--device", arguments.device, "--batch-size", str(arguments.batch_size)]
    call += ["--linear-algebra", arguments.linear_algebra]
    call += ["--capture"] if arguments.capture else []
    return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()[-1])


def product_speeds(device: str) -> dict[str, float]:
    """GFLOP/s of the largest matrix product of the discriminators by library, what no step can exceed."""
    left, right = torch.randn(96 * 264, 512, device=device), torch.randn(512, 512, device=device)
    keep_freed_memory()  # fresh memory would cost a sixth of the time
    found = dict.fromkeys(speeds() if device == "cpu" else [MKL], 0.0)
    for name in (*found, *found, *found):
        use_library(name)
        taken = seconds(lambda: linear(left, right), device)
        found[name] = max(found[name], 2 * len(left) * 512 * 512 / taken / 1e9)
    return found


def parse() -> argparse.Namespace:
    """The command line."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--lambdas", nargs="+", type=command.weight, default=[0.05, 0.0])
    parser.add_argument("--rounds", type=command.positive, default=5)
    parser.add_argument("--batch-size", type=command.positive, default=32)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--capture", action="store_true", help="replay our steps from CUDA graphs")
    parser.add_argument("--tf32", action="store_true", help="TF32 products on both sides; else on neither")
    parser.add_argument("--linear-algebra", default="auto", choices=["auto", MKL, ONEDNN])
    parser.add_argument("--output", type=command.output, help="CSV to write")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.capture and not arguments.device.startswith("cuda"):
        parser.error("--capture needs --device cuda")
    return arguments


def main() -> None:
    """Measure, print, and write the table."""
    arguments = parse()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = arguments.tf32
    library = quickest() if arguments.linear_algebra == "auto" else arguments.linear_algebra
    use_library(library)
    if arguments.peak:
        system, weight, side = arguments.peak
        print(peak_of_cycles(case_of(system, float(weight), arguments), side))
        return
    found = product_speeds(arguments.device)
    peak = max(found.values())
    use_library(library)
    told = ", ".join(f"{name} {speed:.0f} GFLOP/s" for name, speed in found.items())
    print(f"{processor()}; {torch.get_num_threads()} threads; large products: {told}; ours are by {library}")
    print(" ".join(f"{field.name:>15}" for field in fields(Result)), flush=True)
    results = []
    for system, weight in product(arguments.systems, arguments.lambdas):
        for result in measure(system, weight, peak, arguments):
            results.append(asdict(result))
            values = (f"{value:.3f}" if isinstance(value, float) else value for value in results[-1].values())
            print(" ".join(f"{value:>15}" for value in values), flush=True)
    if arguments.output:
        write_table(arguments.output, results)


if __name__ == "__main__":
    main()
