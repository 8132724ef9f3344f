"""What the precision of the products does to the losses: `python -m benchmarks.precision`.

Trains the networks of `experiment=li2o_licl` on its data from the same weights with the same batches and noise: in
float64, in float32, with bfloat16 products, and on a GPU with TF32 products, too; beside them in float32 with another
seed, which says what differences mean little. Prints, for each loss, its means over tenths of the steps less those of
float64.

    python -m benchmarks.precision [--device cuda] [--steps 1000] [--lambda 0.05]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache

import torch
from lightning.fabric import Fabric

from benchmarks import command
from configs.entry import compose
from configs.schema import plain
from cryingan.geometry.distances import neighbor_distances
from cryingan.models.cryingan.gan import CryinGAN
from data.loader import TensorLoader
from data.module import StructureData

LOSSES = ("critic_loss", "score_difference", "generator_loss")
PARTS = 10
KINDS = {
    "float64": (torch.float64, "highest", False),
    "float32": (torch.float32, "highest", False),
    "TF32": (torch.float32, "high", False),
    "bfloat16": (torch.float32, "highest", True),
}


class SameDraws(CryinGAN):
    """Draws in float32 whatever the precision; the numbers that torch draws in float64 are others."""

    def draw_normal(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> torch.Tensor:
        """As a CryinGAN in float32."""
        source = self.source(purpose, batch_idx, epoch)
        return torch.randn(size, self.hparams.latent_dim, generator=source, device=self.device).to(self.dtype)

    def draw_uniform(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> torch.Tensor:
        """As a CryinGAN in float32."""
        source = self.source(purpose, batch_idx, epoch)
        return torch.rand(size, generator=source, device=self.device).to(self.dtype)


def losses(kind: str, settings: dict, seed: int, arguments: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Means of every loss over tenths of the steps, shape (10,)."""
    dtype, products, autocast = KINDS[kind]
    torch.set_float32_matmul_precision(products)
    model, batches, fabric = prepared(settings, seed, arguments, dtype)
    optimizers = dict(zip(model.networks, model.configure_optimizers()[0], strict=True))
    found: dict[str, list[float]] = {name: [] for name in LOSSES}
    for _part in range(PARTS):
        for _step in range(arguments.steps // PARTS):
            number, batch = next(batches)
            # As Lightning's, without a cache: its rounded copies of weights would outlast the steps within.
            with torch.autocast(fabric.device.type, torch.bfloat16, enabled=autocast, cache_enabled=False):
                model._discriminator_step(batch, number, optimizers)
                if number % model.hparams.generator_interval == 0:
                    model._generator_step(len(batch), number, optimizers["generator"])
            if model.watch.every_step:
                model.watch.require_finite()
        for means in (model.critic_means, model.generator_means):
            for name, value in means.compute().items():
                if name in found:
                    found[name].append(value)
            means.reset()
    model.watch.require_finite()
    return {name: torch.tensor(values) for name, values in found.items()}


def prepared(settings: dict, seed: int, arguments: argparse.Namespace, dtype: torch.dtype) -> tuple:
    """The model, its numbered batches without end, and the Fabric that the model needs and does not keep alive."""
    data = _structures(settings["data"]["path"])
    grouped = data.training.reordered(data.training.grouping)
    fractional = torch.tensor(grouped.fractional, dtype=torch.float32, device=arguments.device)
    cell, k = torch.tensor(grouped.cell), settings["model"]["n_neighbors"]
    features = [fractional, *([neighbor_distances(fractional, cell, k)] if arguments.weight else [])]
    keys = {name: value for name, value in settings["model"].items() if name != "_target_"}
    keys |= {"distance_weight": arguments.weight, "seed": seed}
    model = SameDraws(cell.tolist(), list(data.crystals.species), **keys).to(arguments.device, dtype)
    fabric = Fabric(accelerator="cuda" if arguments.device.startswith("cuda") else "cpu", devices=1)
    model.fabric = fabric
    loader = TensorLoader(torch.cat(features, dim=-1).to(dtype), settings["data"]["batch_size"], seed=seed)
    return model, enumerate(endless(loader)), fabric


_structures = cache(StructureData)  # read once for all


def endless(loader: TensorLoader) -> Iterator[torch.Tensor]:
    """Epoch after epoch of batches."""
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def main() -> None:
    """Train in every precision, and print."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--steps", type=command.at_least(10), default=1000)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--lambda", dest="weight", type=command.weight, default=0.05)
    arguments = parser.parse_args()
    settings = plain(compose("train", "experiment=li2o_licl", "logger=csv"))
    found = {}
    for kind in KINDS:
        if kind != "TF32" or arguments.device.startswith("cuda"):
            found[kind] = losses(kind, settings, 1, arguments)
    found["float32, seed 2"] = losses("float32", settings, 2, arguments)
    for name in LOSSES:
        exact = found["float64"][name]
        print(f"{name}: float64 {exact.mean():.4f}, by tenths of the steps {[round(v, 3) for v in exact.tolist()]}")
        for kind, values in found.items():
            if kind != "float64":
                apart = values[name] - exact
                print(f"  {kind:>16}: on average {apart.mean():+.4f}, at most {apart.abs().max():.4f} apart")


if __name__ == "__main__":
    main()
