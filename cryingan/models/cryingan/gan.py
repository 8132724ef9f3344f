"""CryinGAN: a generator, a discriminator on fractional coordinates and one on neighbour distances."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import asdict, replace
from enum import Enum
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import neighbor_distances
from cryingan.models.cryingan.critic import critic_terms, mean_score, wasserstein
from cryingan.models.cryingan.divergence import FiniteWatch
from cryingan.models.cryingan.epoch_means import EpochMeans
from cryingan.models.cryingan.networks import Discriminator, Generator, initialize
from cryingan.models.cryingan.settings import ModelSettings
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals

CHECKPOINT_FORMAT = 1
NOISE_CHUNK = 1024


class CryinGAN(lightning.LightningModule):
    """The WGAN-GP of the Dismai-Bench paper (Yong, Su, Ertekin, Digital Discovery 2024, Supplementary Information).

    A batch has shape (structures, atoms, 3 + k): fractional coordinates and, where `distance_weight` is not 0, the
    distances to the k nearest neighbours in Angstrom; atoms are grouped by species. Every batch is one step of the
    discriminators; batches 0, 5, 10, ... of an epoch (`generator_interval`) are followed by a step of the generator.

    Logged once per epoch, means over its batches weighted by their size: `train/wasserstein` (without penalty),
    `train/critic_loss`, `train/generator_loss`, `train/real_<d>`, `train/fake_<d>` (mean outputs), `train/penalty_<d>`,
    `train/gradient_norm_<network>` and `train/learning_rate_<network>` for d in coordinates and distances; for the
    held-out structures `val/wasserstein`.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: networks and optimisation; those of the paper when not given.
        shift: origin of the coordinates of batches, in fractions of the cell, which samples do not have; None for 0.
        changes: fields of `cryingan.models.cryingan.settings.ModelSettings` that differ from `settings`.

    Raises:
        CryinGANError: a setting is out of range.

    Example:
        >>> cell = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
        >>> model = cryingan.CryinGAN(cell, ["Li", "Li", "Cl"], n_neighbors=2, channels=8)
        >>> model.sample(5, seed=1).fractional.shape
        (5, 3, 3)
    """

    def __init__(
        self,
        cell: list[list[float]],
        species: list[str],
        settings: ModelSettings | None = None,
        shift: list[float] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        settings = replace(settings or ModelSettings(), **changes)
        # Plain values, as checkpoints are read with weights_only=True.
        plain = {name: value.value if isinstance(value, Enum) else value for name, value in asdict(settings).items()}
        self.save_hyperparameters({"cell": cell, "species": species, "shift": shift, **plain}, logger=False)
        self.automatic_optimization = False
        self.run_step: Callable[..., Tensor] = operator.call  # or a `Replay`
        self.watch = FiniteWatch()
        self.cell = torch.tensor(cell, dtype=torch.float64)  # no buffer: distances want it exact and on the CPU
        template = Crystals(np.empty((0, len(species), 3)), cell, species)
        self.grouping = template.grouping
        self.n_neighbors = settings.n_neighbors if settings.paired else 0

        features = {"coordinates": 3, "distances": settings.n_neighbors}
        weights = {"coordinates": 1.0, "distances": settings.distance_weight}
        self.weights = {name: weights[name] for name in settings.poolings}
        self.generator = Generator(len(species), settings.latent_dim, settings.channels, settings.generator_widths)
        counts, sizes = list(template.counts.values()), (settings.discriminator_widths, settings.head_widths)
        self.discriminators = nn.ModuleDict(
            {
                name: Discriminator(features[name], counts, pooling, *sizes, settings.outputs)
                for name, pooling in settings.poolings.items()
            }
        )
        self._prepare()

    def _prepare(self) -> None:
        """Initial weights and the quantities that are averaged over an epoch."""
        for name, network in self.networks.items():
            initialize(network, generator(self.hparams.seed, f"initial weights of {name}"))
        per_discriminator = [f"{kind}_{name}" for name in self.weights for kind in ("real", "fake", "penalty")]
        norms = [f"gradient_norm_{name}" for name in self.weights]
        self.critic_means = EpochMeans(["wasserstein", "critic_loss", *per_discriminator, *norms])
        self.generator_means = EpochMeans(["generator_loss", "gradient_norm_generator"])

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Generator and discriminators by name, in the order of their optimisers."""
        return {"generator": self.generator, **self.discriminators}

    def configure_optimizers(self) -> tuple[list, list]:
        """One Adam and one step schedule per network (SI; the schedule counts epochs)."""
        settings = self.hparams
        rates = {
            "generator": settings.generator_learning_rate,
            "coordinates": settings.coordinate_learning_rate,
            "distances": settings.distance_learning_rate,
        }
        optimizers = [
            torch.optim.Adam(network.parameters(), lr=rates[name], betas=tuple(settings.betas), fused=True)
            for name, network in self.networks.items()
        ]
        self.watch = FiniteWatch(self.device)
        for optimizer in optimizers:
            optimizer.found_inf = self.watch.flag
        return optimizers, [StepLR(o, settings.schedule_epochs, settings.schedule_factor) for o in optimizers]

    def features(self, fractional: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of structures with fractional coordinates (structures, atoms, 3)."""
        seen = {"coordinates": fractional}
        if "distances" in self.discriminators:
            seen["distances"] = neighbor_distances(fractional, self.cell, self.n_neighbors)
        return seen

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step of the discriminators and, on every `generator_interval`-th batch, one of the generator."""
        optimizers = dict(zip(self.networks, self.optimizers(), strict=True))
        self._discriminator_step(batch, batch_idx, optimizers)
        if batch_idx % self.hparams.generator_interval == 0:
            self._generator_step(batch.shape[-3], batch_idx, optimizers["generator"])
        if self.watch.every_step or self.trainer.is_last_batch:
            self.watch.require_finite()

    def _discriminator_step(self, batch: Tensor, batch_idx: int, optimizers: dict) -> None:
        size = batch.shape[-3]
        draws = [self.draw_normal(size, "critic noise", batch_idx)]
        draws += [self.draw_uniform(size, f"interpolation of {name}", batch_idx) for name in self.discriminators]
        trained = {name: optimizers[name] for name in self.discriminators}
        values = self.run_step(self._train_discriminators, trained, batch, *draws)
        self._record(self.critic_means, values, size, batch_idx)

    def _generator_step(self, size: int, batch_idx: int, optimizer: Any) -> None:
        noise = self.draw_normal(size, "generator noise", batch_idx)
        values = self.run_step(self._train_generator, {"generator": optimizer}, noise)
        self._record(self.generator_means, values, size, batch_idx)

    def _record(self, means: EpochMeans, values: Tensor, size: int, batch_idx: int) -> None:
        means.update(values, size)
        self.watch.note(means.names, values, self.current_epoch, batch_idx)

    def _train_discriminators(self, trained: dict, batch: Tensor, noise: Tensor, *mixes: Tensor) -> Tensor:
        """What `critic_means` names, after a step of the optimisers in `trained`."""
        real = {"coordinates": batch[..., :3], "distances": batch[..., 3:]}
        with torch.no_grad():
            fake = self.features(self.generator(noise))
        loss, distance, parts = 0.0, 0.0, []
        for (name, discriminator), mix in zip(self.discriminators.items(), mixes, strict=True):
            terms = critic_terms(discriminator, real[name], fake[name], mix, self.hparams.penalty_weight)
            loss = loss + self.weights[name] * terms.loss
            distance = distance + self.weights[name] * (terms.real - terms.fake)
            parts += [terms.real, terms.fake, terms.penalty]
        return self.descend([distance, loss, *parts], loss, trained)

    def _train_generator(self, trained: dict, noise: Tensor) -> Tensor:
        """What `generator_means` names, after a step of the optimiser in `trained`."""
        fake = self.features(self.generator(noise))
        scores = {name: mean_score(d, fake[name]) for name, d in self.discriminators.items()}
        loss = -sum(self.weights[name] * score for name, score in scores.items())
        return self.descend([loss], loss, trained)

    def descend(self, values: list[Tensor], loss: Tensor, trained: dict) -> Tensor:
        """Step the optimisers of the networks named in `trained`; overridden by `Replicas`.

        Returns the scalars `values` and the norm of every trained network's gradient, in one tensor.
        """
        for optimizer in trained.values():
            optimizer.zero_grad()
        self.manual_backward(loss)
        gradients = ([p.grad for p in self.networks[name].parameters() if p.grad is not None] for name in trained)
        seen = torch.stack([*values, *map(nn.utils.get_total_norm, gradients)]).detach()
        self.watch.see(seen)
        for optimizer in trained.values():
            optimizer.step()
        return seen

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch and step the schedules, before the epoch's checkpoint is written."""
        rates = {
            f"learning_rate_{name}": float(optimizer.param_groups[0]["lr"])
            for name, optimizer in zip(self.networks, self.optimizers(), strict=True)
        }
        values = {**self.critic_means.compute(), **self.generator_means.compute(), **rates}
        self.critic_means.reset()
        self.generator_means.reset()
        self.log_epoch({f"train/{name}": value for name, value in values.items()})
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def log_epoch(self, values: dict[str, float]) -> None:
        """Send values of the current epoch to every logger at once, so that no checkpoint is ahead of the log."""
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in self.loggers:
            logger.log_metrics({**values, "epoch": self.current_epoch}, step=self.global_step)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Wasserstein distance between held-out structures and as many generated ones (always from the same noise)."""
        noise = self.draw_normal(len(batch), "validation noise", batch_idx, epoch=0)
        fake = self.features(self.generator(noise))
        real = {"coordinates": batch[..., :3], "distances": batch[..., 3:]}
        gaps = [self.weights[n] * wasserstein(d(real[n]), d(fake[n])) for n, d in self.discriminators.items()]
        self.log("val/wasserstein", sum(gaps), batch_size=len(batch), sync_dist=True)

    @torch.inference_mode()
    def sample(self, n: int, seed: int, batch_size: int = 256, purpose: str = "sample") -> Crystals:
        """Exactly `n` structures in the atom order of the user's file, from the generator in evaluation mode.

        The noise depends on `seed` and `purpose` alone, neither on `batch_size` nor on the state of training: the first
        structures of a larger `n` are those of a smaller one. What watches a training has a purpose of its own, so that
        a model chosen by it is not judged by the same samples.

        Raises:
            CryinGANError: `n` is less than 1.
        """
        if n < 1:
            raise CryinGANError(f"n={n}: there must be at least 1 sample")
        sources = [generator(seed, purpose, chunk) for chunk in range(-(-n // NOISE_CHUNK))]
        noise = torch.cat([torch.randn(NOISE_CHUNK, self.hparams.latent_dim, generator=g) for g in sources])[:n]
        was_training = self.generator.training
        self.generator.eval()
        try:
            batches = [self.generator(part.to(self.device, self.dtype)).cpu() for part in noise.split(batch_size)]
        finally:
            self.generator.train(was_training)
        fractional = torch.cat(batches).double().numpy()
        if self.hparams.shift is not None:
            fractional = fractional + self.hparams.shift
        species = tuple(self.hparams.species[i] for i in self.grouping)
        grouped = Crystals(fractional, np.array(self.hparams.cell), species)
        return grouped.reordered(np.argsort(self.grouping))

    def draw_normal(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> Tensor:
        """Noise (size, latent_dim) for one purpose at one batch of an epoch; overridden by `Replicas`."""
        source = self._source(purpose, batch_idx, epoch)
        return torch.randn(size, self.hparams.latent_dim, generator=source, device=self.device, dtype=self.dtype)

    def draw_uniform(self, size: int, purpose: str, batch_idx: int) -> Tensor:
        """Numbers between 0 and 1, shape (size,), for one purpose at one batch; overridden by `Replicas`."""
        return torch.rand(size, generator=self._source(purpose, batch_idx), device=self.device, dtype=self.dtype)

    def _source(self, purpose: str, batch_idx: int, epoch: int | None = None) -> torch.Generator:
        step = (self.current_epoch if epoch is None else epoch, batch_idx, self.global_rank)
        return generator(self.hparams.seed, purpose, *step, device=self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Mark the layout of the file, so that later versions know what they read; none is written after a NaN.

        Learning rates become numbers, so that a run may resume with or without recordings.
        """
        self.watch.require_finite()
        checkpoint["cryingan_format"] = CHECKPOINT_FORMAT
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:
                group.update(lr=float(group["lr"]), capturable=False)
        for state in checkpoint.get("lr_schedulers", []):
            state["_last_lr"] = [float(rate) for rate in state["_last_lr"]]
