"""What a training cycle costs, against a plain version of the same mathematics: `python -m benchmarks.step`.

A cycle is five steps of the discriminators and one of the generator. Both sides start with the same weights, get the
same batches, noise and interpolation points, and take turns step by step in one process; their losses are compared.
On a CPU the time is CPU time of the process, on a GPU that of CUDA events; medians over rounds.

    python -m benchmarks.step [--device cuda] [--rounds 5] [--lambdas 0.05 0] [--output step.csv]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import torch
from lightning.fabric import Fabric
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import peak_since, seconds, write_table
from benchmarks.plain_step import Draws, PlainStep
from cryingan.gan import CryinGAN

CYCLE = 5  # discriminator steps for one generator step
SYSTEMS = {
    "interface": ({"Li": 72, "Co": 36, "Sc": 12, "O": 72, "Cl": 72}, [[12.31, 0, 0], [4.23, 16.57, 0], [0, 0, 27.0]]),
    "alloy": ({"Cr": 51, "Fe": 154, "Ni": 51}, [[14.4, 0, 0], [0, 14.4, 0], [0, 0, 14.4]]),
}
SIDES = ("plain", "ours")


@dataclass
class Result:
    """One line of the table.

    Attributes:
        critic_step: seconds, as the generator's step and the cycle.
        ratio: time of the plain side's cycle by this side's.
        gflop_per_second: operations of the products that a cycle needs, by its time; the same number for both sides.
        share_of_floor: this by the speed of one large product.
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


class Sides:
    """Both implementations of one model's step, and what they are fed.

    Args:
        system: a name of `SYSTEMS`.
        weight: lambda.
        batch_size: structures.
        device: torch device.
    """

    def __init__(self, system: str, weight: float, batch_size: int, device: str) -> None:
        counts, cell = SYSTEMS[system]
        species = [symbol for symbol, count in counts.items() for _ in range(count)]
        self.model = CryinGAN(cell, species, distance_weight=weight).to(device)
        self.fabric = Fabric(accelerator="cuda" if device.startswith("cuda") else "cpu", devices=1)
        self.model.fabric = self.fabric  # the model keeps a weak reference
        self.plain = PlainStep(self.model)
        real = torch.rand(batch_size, len(species), 3, generator=torch.Generator().manual_seed(0)).to(device)
        self.batch = torch.cat(list(self.model.features(real).values()), dim=-1)
        self.optimizers = dict(zip(self.model.networks, self.model.configure_optimizers()[0], strict=True))

    def draws(self, purpose: str, number: int) -> Draws:
        """What the model will draw by itself for this step."""
        size = len(self.batch)
        alphas = {n: self.model._uniform(size, f"interpolation of {n}", number) for n in self.model.discriminators}
        return {"noise": self.model._normal(size, purpose, number), **alphas}

    def critic_steps(self, number: int) -> dict[str, Callable]:
        """The discriminators' step of both sides."""
        draws = self.draws("critic noise", number)
        return {
            "plain": lambda: self.plain.critic_step(self.batch, draws),
            "ours": lambda: self.model._discriminator_step(self.batch, number, self.optimizers),
        }

    def generator_steps(self, number: int) -> dict[str, Callable]:
        """The generator's step of both sides."""
        draws = self.draws("generator noise", number)
        optimizer = self.optimizers["generator"]
        return {
            "plain": lambda: self.plain.generator_step(draws),
            "ours": lambda: self.model._generator_step(len(self.batch), number, optimizer),
        }

    def require_equal(self) -> None:
        """Take one step of each kind, and stop if the sides' losses differ by more than float32 explains."""
        self.model.critic_means.reset()
        self.model.generator_means.reset()
        losses = [steps[side]() for steps in (self.critic_steps(0), self.generator_steps(0)) for side in SIDES]
        plain = {"critic_loss": losses[0][0], "generator_loss": losses[2][0]}
        ours = {**self.model.critic_means.compute(), **self.model.generator_means.compute()}
        for name, loss in plain.items():
            if abs(ours[name] - loss) > 1e-3 * max(abs(loss), 1.0):
                raise SystemExit(f"the sides differ: {name} is {loss} plainly and {ours[name]} here")


def compare(sides: Sides, rounds: int, device: str) -> dict[str, dict[str, list[float]]]:
    """Times of every step by kind and side, the sides taking turns."""
    times = {kind: {side: [] for side in SIDES} for kind in ("critic", "generator")}
    for number in range(1, rounds + 1):
        for kind, steps in (("critic", sides.critic_steps(number)), ("generator", sides.generator_steps(number))):
            for side in SIDES if number % 2 else SIDES[::-1]:
                times[kind][side].append(seconds(steps[side], device))
    return times


def cycle_flops(sides: Sides) -> float:
    """Floating-point operations of our cycle's matrix products: no exact way is known that needs fewer."""
    counts = []
    for steps in (sides.critic_steps(0), sides.generator_steps(0)):
        with FlopCounterMode(display=False) as counter:
            steps["ours"]()
        counts.append(counter.get_total_flops())
    return CYCLE * counts[0] + counts[1]


def measure(system: str, weight: float, peak: float, arguments: argparse.Namespace) -> list[Result]:
    """Both sides of one case."""
    sides = Sides(system, weight, arguments.batch_size, arguments.device)
    sides.require_equal()
    times = compare(sides, arguments.rounds, arguments.device)
    cycles = {
        side: [CYCLE * c + g for c, g in zip(times["critic"][side], times["generator"][side], strict=True)]
        for side in SIDES
    }
    ratio = statistics.median(plain / ours for plain, ours in zip(cycles["plain"], cycles["ours"], strict=True))
    gflop = cycle_flops(sides) / 1e9
    results = []
    for side in SIDES:
        cycle = statistics.median(cycles[side])
        critic, generator = (statistics.median(times[kind][side]) for kind in ("critic", "generator"))
        memory = peak_memory(system, weight, side, arguments)
        speed = gflop / cycle
        shown = ratio if side == "ours" else 1.0
        results.append(Result(system, weight, side, critic, generator, cycle, shown, speed, speed / peak, memory))
    return results


def peak_memory(system: str, weight: float, side: str, arguments: argparse.Namespace) -> float:
    """Memory that a cycle of one side takes beyond the loaded program and its weights, in a process of its own, GiB."""
    call = [sys.executable, "-m", "benchmarks.step", "--peak", system, str(weight), side]
    call += ["--device", arguments.device, "--batch-size", str(arguments.batch_size)]
    return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_peak(system: str, weight: str, side: str, arguments: argparse.Namespace) -> None:
    """What `peak_memory` calls: two cycles, as the optimizers' states come with the first."""
    sides = Sides(system, float(weight), arguments.batch_size, arguments.device)
    before = peak_since(arguments.device)
    for number in range(2):
        sides.critic_steps(number)[side]()
        sides.generator_steps(number)[side]()
    print(peak_since(arguments.device, before))


def product_speed(device: str) -> float:
    """GFLOP/s of the largest matrix product of the discriminators, what no step can exceed."""
    left, right = torch.randn(96 * 264, 512, device=device), torch.randn(512, 512, device=device)
    best = min(seconds(lambda: left @ right, device) for _ in range(5))
    return 2 * len(left) * 512 * 512 / best / 1e9


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--lambdas", nargs="+", type=float, default=[0.05, 0.0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", help="CSV to write")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write the table."""
    arguments = parse()
    if arguments.peak:
        print_peak(*arguments.peak, arguments)
        return
    peak = product_speed(arguments.device)
    print(f"{torch.get_num_threads()} threads; a large matrix product runs at {peak:.0f} GFLOP/s")
    columns = [field.name for field in fields(Result)]
    print(" ".join(f"{name:>15}" for name in columns), flush=True)
    results = []
    for system in arguments.systems:
        for weight in arguments.lambdas:
            for result in measure(system, weight, peak, arguments):
                results.append(asdict(result))
                values = (f"{value:.3f}" if isinstance(value, float) else value for value in results[-1].values())
                print(" ".join(f"{value:>15}" for value in values), flush=True)
    if arguments.output:
        write_table(arguments.output, results)


if __name__ == "__main__":
    main()
