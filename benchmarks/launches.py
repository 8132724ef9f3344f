"""A training cycle in each precision, launched in each way, against a plain one: `python -m benchmarks.launches`.

Ways: `plain` (`benchmarks.plain_step`), `eager` (ours, operator by operator), `graphs` (ours, replayed from CUDA
graphs: trainer.capture=true) and `compiled` (ours through `torch.compile(mode="reduce-overhead")`, in one line). All
begin with the same weights, get the same batches, noise and interpolation points, and take turns in one process, a
cycle at a time: five steps of the discriminators, then one of the generator.

    python -m benchmarks.launches [--device cuda] [--precisions tf32 strict bf16] [--ways plain eager graphs compiled]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks import command
from benchmarks.measuring import SYSTEMS, peak_since, take_turns
from benchmarks.sides import CYCLE, Case, Sides
from benchmarks.tables import write_table
from cryingan.training.cuda_graphs import WARM_UP

PRECISIONS = ("tf32", "strict", "bf16")
WAYS = ("plain", "eager", "graphs", "compiled")
FEW = ("plain", "eager", "graphs")


@dataclass
class Result:
    """One line of the table.

    Attributes:
        cycle: seconds, median.
        ratio: time of the plain way's cycle by this one's, median.
        busy: share of the cycle in which a kernel ran; None without a GPU.
        memory: of a cycle beyond what is held between cycles, GiB; the recordings of CUDA graphs hold theirs.
        first_loss: of the discriminators at the first cycle, by which a way that computes something else is seen.
    """

    system: str
    lambda_: float
    precision: str
    way: str
    cycle: float
    ratio: float | None
    busy: float | None
    memory: float
    first_loss: float


def compiled(step: Callable[..., Tensor], optimizers: dict[str, Any], *inputs: Tensor) -> Tensor:
    """Run a step through `torch.compile`, with CUDA graphs where it can."""
    torch.compiler.cudagraph_mark_step_begin()
    return torch.compile(step, mode="reduce-overhead")(optimizers, *inputs).clone()


def cycles(way: str, case: Case, precision: str) -> tuple[Callable[[], None], Sides]:
    """A function that takes one cycle, and both sides of the step."""
    sides = Sides(case._replace(capture=way == "graphs"))
    if way == "compiled":
        sides.model.run_step = compiled
    side = "plain" if way == "plain" else "ours"
    kind = case.device.split(":")[0]

    def cycle() -> None:
        # As Lightning's, without a cache: its rounded copies of weights would outlast the steps within.
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
            for number in range(CYCLE):
                sides.critic_steps(number)[side]()
            sides.generator_steps(0)[side]()

    return cycle, sides


def first_loss(way: str, sides: Sides) -> float:
    """The discriminators' loss at the first step."""
    side = "plain" if way == "plain" else "ours"
    found = sides.critic_steps(0)[side]()
    loss = found[0] if way == "plain" else sides.model.critic_means.compute()["critic_loss"]
    sides.model.critic_means.reset()
    return loss


def busy_share(cycle: Callable[[], None], taken: float, device: str) -> float | None:
    """Time of all kernels of a cycle by the time that a cycle takes when nobody looks."""
    if not device.startswith("cuda"):
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        cycle()
        torch.cuda.synchronize()
    events = (event for event in found.events() if event.device_type == torch.autograd.DeviceType.CUDA)
    kernels = (event.time_range.elapsed_us() for event in events if not event.is_user_annotation)
    return sum(kernels) / 1e6 / taken


def measure(system: str, weight: float, precision: str, arguments: argparse.Namespace) -> list[Result]:
    """Every way of one case."""
    set_precision(precision)
    case = Case(*SYSTEMS[system], weight, arguments.batch_size, device=arguments.device)
    made = {way: cycles(way, case, precision) for way in arguments.ways}
    losses = {way: first_loss(way, sides) for way, (_, sides) in made.items()}
    memory = {}
    for way, (cycle, _) in made.items():
        for _number in range(WARM_UP + 2 if arguments.device.startswith("cuda") else 1):
            cycle()
        before = peak_since(arguments.device)
        cycle()
        memory[way] = peak_since(arguments.device, before)
    times = take_turns({way: cycle for way, (cycle, _) in made.items()}, arguments.rounds, arguments.device)
    results, plain = [], times.get("plain")
    for way, (cycle, _) in made.items():
        taken = statistics.median(times[way])
        ratio = statistics.median(a / b for a, b in zip(plain, times[way], strict=True)) if plain else None
        busy = busy_share(cycle, taken, arguments.device)
        results.append(Result(system, weight, precision, way, taken, ratio, busy, memory[way], losses[way]))
    return results


def set_precision(name: str) -> None:
    """Products of float32 matrices and convolutions in TF32, on all sides, or on none."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--systems", nargs="+", default=["interface", "li2o_licl"], choices=list(SYSTEMS))
    parser.add_argument("--lambdas", nargs="+", type=command.weight, default=[0.05, 0.0])
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--ways", nargs="+", default=list(FEW), choices=WAYS)
    parser.add_argument("--rounds", type=command.positive, default=10)
    parser.add_argument("--batch-size", type=command.positive, default=32)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--output", type=command.output, help="CSV to write, row by row")
    arguments = parser.parse_args()
    if not arguments.device.startswith("cuda"):
        arguments.ways = [way for way in arguments.ways if way != "graphs"]
        arguments.precisions = [name for name in arguments.precisions if name != "tf32"] or ["strict"]
    return arguments


def main() -> None:
    """Measure, print, and write the table after every case."""
    arguments = parse()
    rows: list[dict[str, Any]] = []
    for weight, precision, system in product(arguments.lambdas, arguments.precisions, arguments.systems):
        for result in measure(system, weight, precision, arguments):
            rows.append(asdict(result))
            print(" ".join(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
        if arguments.output:
            write_table(arguments.output, rows)


if __name__ == "__main__":
    main()
