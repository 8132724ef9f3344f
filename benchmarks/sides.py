"""Both implementations of a training step, and what they are fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning.fabric import Fabric

from benchmarks.measuring import peak_since, seconds
from benchmarks.plain_step import Draws, PlainStep
from cryingan.devices import keep_freed_memory
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.training.cuda_graphs import WARM_UP, Replay

CYCLE = 5  # discriminator steps for one generator step
SIDES = ("plain", "ours")


class Case(NamedTuple):
    """What is trained, and on what.

    Attributes:
        counts: atoms by species.
        cell: lattice vectors in rows, Angstrom.
        weight: lambda.
        batch_size: structures.
        k: neighbours.
        device: torch device.
        capture: whether our steps are replayed from CUDA graphs.
    """

    counts: dict[str, int]
    cell: list[list[float]]
    weight: float = 0.05
    batch_size: int = 32
    k: int = 6
    device: str = "cpu"
    capture: bool = False


class Sides:
    """Both implementations of one model's step, with the C library set as in training."""

    def __init__(self, case: Case) -> None:
        keep_freed_memory()
        species = [symbol for symbol, count in case.counts.items() for _ in range(count)]
        self.model = CryinGAN(case.cell, species, distance_weight=case.weight, n_neighbors=case.k).to(case.device)
        self.fabric = Fabric(accelerator="cuda" if case.device.startswith("cuda") else "cpu", devices=1)
        self.model.fabric = self.fabric  # the model keeps a weak reference
        self.plain = PlainStep(self.model)
        real = torch.rand(case.batch_size, len(species), 3, generator=torch.Generator().manual_seed(0)).to(case.device)
        self.batch = torch.cat(list(self.model.features(real).values()), dim=-1)
        self.optimizers = dict(zip(self.model.networks, self.model.configure_optimizers()[0], strict=True))
        if case.capture:
            self.model.run_step = Replay()

    def draws(self, purpose: str, number: int) -> Draws:
        """What the model will draw by itself for this step."""
        size = len(self.batch)
        alphas = {n: self.model.draw_uniform(size, f"interpolation of {n}", number) for n in self.model.discriminators}
        return {"noise": self.model.draw_normal(size, purpose, number), **alphas}

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

    def require_equal(self, tolerance: float) -> None:
        """Take one step of each kind, and stop if the sides' losses differ by more than rounding explains."""
        self.model.critic_means.reset()
        self.model.generator_means.reset()
        losses = [steps[side]() for steps in (self.critic_steps(0), self.generator_steps(0)) for side in SIDES]
        plain = {"critic_loss": losses[0][0], "generator_loss": losses[2][0]}
        ours = {**self.model.critic_means.compute(), **self.model.generator_means.compute()}
        for name, loss in plain.items():
            if abs(ours[name] - loss) > tolerance * max(abs(loss), 1.0):
                raise SystemExit(f"the sides differ: {name} is {loss} plainly and {ours[name]} here")


def compare(sides: Sides, rounds: int, device: str) -> dict[str, dict[str, list[float]]]:
    """Times of every step by kind and side, the sides taking turns."""
    times = {kind: {side: [] for side in SIDES} for kind in ("critic", "generator")}
    for number in range(1, rounds + 1):
        for kind, steps in (("critic", sides.critic_steps(number)), ("generator", sides.generator_steps(number))):
            for side in SIDES if number % 2 else SIDES[::-1]:
                times[kind][side].append(seconds(steps[side], device))
    return times


def peak_of_cycles(case: Case, side: str) -> float:
    """Memory that cycles of one side take beyond program and weights, GiB; Adam's states come with the first.

    There are as many cycles as it takes until our steps are replayed, where they are.
    """
    sides = Sides(case)
    before = peak_since(case.device)
    for number in range(WARM_UP + 2 if case.capture else 2):
        sides.critic_steps(number)[side]()
        sides.generator_steps(number)[side]()
    return peak_since(case.device, before)
