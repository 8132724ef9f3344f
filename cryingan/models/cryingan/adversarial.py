"""Wasserstein GANs with gradient penalty: the generator, the training and the samples of CryinGAN and its variants."""

from __future__ import annotations

import logging
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from cryingan.models.base import GenerativeModel
from cryingan.models.cryingan.critic import CriticTerms, score_difference
from cryingan.models.cryingan.networks import Generator, initialize
from cryingan.models.cryingan.settings import AdversarialSettings, WarmStart
from cryingan.models.cryingan.warm_start import LinearStart, begin_at_rest, told_of_few_steps
from cryingan.models.divergence import FiniteWatch, StopAtNaN
from cryingan.models.epoch_means import EpochMeans
from cryingan.randomness import generator

log = logging.getLogger(__name__)

NOISE_CHUNK = 1024
STATISTICS = 256  # structures
VARIANCE = 0.85  # share that the linear model of a warm start holds: 30 components of li2o_licl, 50 of lsc_lco
RATES = {
    "generator": "generator_learning_rate",
    "coordinates": "coordinate_learning_rate",
    "distances": "distance_learning_rate",
    "discriminator": "discriminator_learning_rate",
}
"""The setting of each network's learning rate."""


class AdversarialModel(GenerativeModel):
    """One generator against one discriminator or several, each with a weight in the loss.

    Every batch is one step of the discriminators; batches 0, 5, 10, ... of an epoch (`generator_interval`) are followed
    by a step of the generator. Where the data module translates its structures, generated ones are translated at
    random, too, before a discriminator sees them: it cannot tell them apart by their places, and the generator need not
    learn all of these.

    Logged once per epoch, means over its batches weighted by their size: `train/score_difference` (mean score of real
    minus generated structures, the weighted sum over discriminators), `train/critic_loss`, `train/generator_loss`,
    `train/real_<d>`, `train/fake_<d>` (mean outputs), `train/penalty_<d>`, `train/input_gradient_norm_<d>` (of the sum
    of the outputs by the interpolated structures: the penalty draws it to 1, and where it is not near 1 the difference
    of scores estimates no Wasserstein distance), `train/gradient_norm_<network>` (of the loss by the weights) and
    `train/learning_rate_<network>` for each discriminator d; for the held-out structures `val/score_difference`.

    A subclass has a `kind`, a `settings_type`, `build_discriminators`, `features`, `real_features`, `critic_terms` and
    `mean_score`. Arguments are those of `cryingan.models.base.GenerativeModel`.

    Attributes:
        recordable: whether `cryingan.training.cuda_graphs` can record its steps.
        weights: of the discriminators in the loss, by name.
    """

    averages = "generator"
    recordable = False
    tempered = True
    settings_type: ClassVar[type[AdversarialSettings]]
    critic_terms: Callable[..., CriticTerms]
    mean_score: Callable[..., Tensor]

    def build(self, settings: AdversarialSettings) -> None:
        """Generator, discriminators, and the quantities that are averaged over an epoch."""
        self.automatic_optimization = False
        self.run_step: Callable[..., Tensor] = operator.call  # or a `Replay`
        self.translated: tuple[int, ...] = ()
        self.translatable = settings.warm_start == WarmStart.none
        sizes = settings.latent_dim, settings.channels, settings.generator_widths
        self.generator = Generator(len(self.grouping), *sizes)
        self.start = LinearStart(self.cell) if settings.warm_start == WarmStart.linear else None
        self.discriminators = nn.ModuleDict(self.build_discriminators(settings))
        self._prepare()

    @abstractmethod
    def build_discriminators(self, settings: AdversarialSettings) -> dict[str, nn.Module]:
        """The discriminators by name; sets `weights`."""

    @abstractmethod
    def real_features(self, batch: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of the structures of a batch."""

    @abstractmethod
    def features(self, fractional: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of structures with fractional coordinates (structures, atoms, 3)."""

    def _prepare(self) -> None:
        """Initial weights and the quantities that are averaged over an epoch."""
        for name, network in self.networks.items():
            initialize(network, generator(self.hparams.seed, f"initial weights of {name}"))
        if self.start is not None:
            begin_at_rest(self.generator)
        per_discriminator = [f"{kind}_{name}" for name in self.weights for kind in ("real", "fake", "penalty")]
        norms = [f"{kind}_{name}" for kind in ("gradient_norm", "input_gradient_norm") for name in self.weights]
        self.critic_means = EpochMeans(["score_difference", "critic_loss", *per_discriminator, *norms])
        self.generator_means = EpochMeans(["generator_loss", "gradient_norm_generator"])

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Generator and discriminators by name, in the order of their optimisers."""
        return {"generator": self.generator, **self.discriminators}

    @property
    def logged_keys(self) -> set[str]:
        """All keys of metrics.csv that training logs."""
        names = [*self.critic_means.names, *self.generator_means.names]
        names += [f"learning_rate_{name}" for name in self.networks]
        return {f"train/{name}" for name in names} | {"val/score_difference"}

    def on_fit_start(self) -> None:
        """Find along which axes structures are translated; fit the start, unless a checkpoint brought it."""
        super().on_fit_start()
        self.translated = getattr(self.trainer.datamodule, "translated", ())
        if self.start is not None and not len(self.start.components.codes):
            chosen, most = self.hparams.components, self.hparams.latent_dim
            share = VARIANCE if chosen is None else None
            self.start.components.fit(self.training_structures(), chosen or most, share)
            self.start.to(self.device)

    def configure_callbacks(self) -> list[Callback]:
        """None that keeps the average: steps do, as they can be recorded, and validation is of what is trained."""
        return [StopAtNaN()]

    def on_train_start(self) -> None:
        """Begin the average as a copy of the generator; that of a checkpoint continues."""
        if self.averaged is not None and not self.averaged.begun:
            self.averaged.update_parameters(self.generator)

    def on_train_end(self) -> None:
        """Say where so few steps leave samples near those of the start."""
        steps = -(-self.trainer.num_training_batches // self.hparams.generator_interval)
        begun = self.start is not None and not self.initialized
        told = told_of_few_steps(self.trainer.max_epochs, steps) if begun else None
        if told and self.trainer.is_global_zero:
            log.warning("%s", told)

    def configure_optimizers(self) -> tuple[list, list]:
        """One Adam and one step schedule per network (SI; the schedule counts epochs)."""
        settings = self.hparams
        optimizers = [
            torch.optim.Adam(network.parameters(), lr=settings[RATES[name]], betas=tuple(settings.betas), fused=True)
            for name, network in self.networks.items()
        ]
        self.watch = FiniteWatch.obeyed_by(optimizers, self.device)
        return optimizers, [StepLR(o, settings.schedule_epochs, settings.schedule_factor) for o in optimizers]

    def generated_features(self, noise: Tensor, *translation: Tensor) -> dict[str, Tensor]:
        """What each discriminator sees of structures from noise, after a translation (structures, 1, 3), if any."""
        fractional = self.structures(self.generator, noise)
        return self.features((fractional + translation[0]) % 1.0 if translation else fractional)

    def structures(self, generator: nn.Module, noise: Tensor) -> Tensor:
        """Fractional coordinates (structures, atoms, 3) from noise, by a generator and from the start, if any."""
        if self.start is None:
            return generator(noise)
        codes = self.start.codes(noise)
        return self.start(codes, generator(codes))

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step of the discriminators and, on every `generator_interval`-th batch, one of the generator."""
        optimizers = dict(zip(self.networks, self.optimizers(), strict=True))
        self._discriminator_step(batch, batch_idx, optimizers)
        if batch_idx % self.hparams.generator_interval == 0:
            self._generator_step(batch.shape[-3], batch_idx, optimizers["generator"])

    def _discriminator_step(self, batch: Tensor, batch_idx: int, optimizers: dict) -> None:
        size = batch.shape[-3]
        draws = [self.draw_normal(size, "critic noise", batch_idx)]
        draws += self.draw_translation(size, "critic translation", batch_idx)
        draws += [self.draw_uniform(size, f"interpolation of {name}", batch_idx) for name in self.discriminators]
        trained = {name: optimizers[name] for name in self.discriminators}
        values = self.run_step(self._train_discriminators, trained, batch, *draws)
        self._record(self.critic_means, values, size, batch_idx)

    def _generator_step(self, size: int, batch_idx: int, optimizer: Any) -> None:
        noise = self.draw_normal(size, "generator noise", batch_idx)
        translation = self.draw_translation(size, "generator translation", batch_idx)
        values = self.run_step(self._train_generator, {"generator": optimizer}, noise, *translation)
        self._record(self.generator_means, values, size, batch_idx)

    def _record(self, means: EpochMeans, values: Tensor, size: int, batch_idx: int) -> None:
        means.update(values, size)
        self.watch.note(means.names, values, self.current_epoch, batch_idx)

    def _train_discriminators(self, trained: dict, batch: Tensor, noise: Tensor, *draws: Tensor) -> Tensor:
        """What `critic_means` names, after a step of the optimisers in `trained`.

        `draws` are a translation, where there is one, and for each discriminator the shares of the real structures.
        """
        real, mixes = self.real_features(batch), draws[-len(self.discriminators) :]
        with torch.no_grad():
            fake = self.generated_features(noise, *draws[: -len(mixes)])
        loss, difference, parts, norms = 0.0, 0.0, [], []
        for (name, discriminator), mix in zip(self.discriminators.items(), mixes, strict=True):
            terms = self.critic_terms(discriminator, real[name], fake[name], mix, self.hparams.penalty_weight)
            loss = loss + self.weights[name] * terms.loss
            difference = difference + self.weights[name] * (terms.real - terms.fake)
            parts += [terms.real, terms.fake, terms.penalty]
            norms.append(terms.norm)
        return torch.cat([self.descend([difference, loss, *parts], loss, trained), torch.stack(norms)])

    def _train_generator(self, trained: dict, noise: Tensor, *translation: Tensor) -> Tensor:
        """What `generator_means` names, after a step of the optimiser in `trained`."""
        fake = self.generated_features(noise, *translation)
        scores = {name: self.mean_score(d, fake[name]) for name, d in self.discriminators.items()}
        loss = -sum(self.weights[name] * score for name, score in scores.items())
        values = self.descend([loss], loss, trained)
        if self.averaged is not None:
            self.averaged.follow(self.generator)
        return values

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

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Score difference of held-out structures and as many generated ones (always from the same noise)."""
        noise = self.draw_normal(len(batch), "validation noise", batch_idx, epoch=0)
        translation = self.draw_translation(len(batch), "validation translation", batch_idx, epoch=0)
        fake, real = self.generated_features(noise, *translation), self.real_features(batch)
        gaps = [self.weights[n] * score_difference(d(real[n]), d(fake[n])) for n, d in self.discriminators.items()]
        self.log("val/score_difference", sum(gaps), batch_size=len(batch), sync_dist=True)

    def batches(
        self, parts: Sequence[range], seed: int, purpose: str, temperature: float = 1.0, best_of: int = 1
    ) -> Iterator[tuple[Tensor, dict[str, int]]]:
        """Structures from noise, times a temperature, that depends on seed, purpose and their numbers alone.

        Of every `best_of` structures in turn only the one that `rated` rates best is kept.
        """
        candidates = best_of * max(numbers.stop for numbers in parts)
        sources = [generator(seed, purpose, chunk) for chunk in range(-(-candidates // NOISE_CHUNK))]
        chunks = [torch.randn(NOISE_CHUNK, self.hparams.latent_dim, generator=source) for source in sources]
        noise = temperature * torch.cat(chunks)
        network = self.sampling_generator()
        for numbers in parts:
            part = noise[best_of * numbers.start : best_of * numbers.stop]
            structures = self.structures(network, part.to(self.device, self.dtype))
            yield structures if best_of == 1 else _best(structures, self.rated(structures), best_of), {}

    def rated(self, fractional: Tensor) -> Tensor:
        """How real structures (structures, atoms, 3) look, (structures,); only where `rates_samples`."""
        raise NotImplementedError(f"{type(self).__name__} rates no samples")

    def sampling_generator(self) -> nn.Module:
        """The generator that samples come from: the averaged one where there is one that has begun."""
        if self.averaged is None or not self.averaged.begun:
            return self.generator
        source = generator(self.hparams.seed, "statistics of the averaged generator")
        noise = torch.randn(STATISTICS, self.hparams.latent_dim, generator=source).to(self.device, self.dtype)
        noise = noise if self.start is None else self.start.codes(noise)
        return self.averaged.with_statistics(noise.split(64))

    def draw_normal(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> Tensor:
        """Noise (size, latent_dim) for one purpose at one batch of an epoch; overridden by `Replicas`."""
        source = self.source(purpose, batch_idx, epoch)
        return torch.randn(size, self.hparams.latent_dim, generator=source, device=self.device, dtype=self.dtype)

    def draw_uniform(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> Tensor:
        """Numbers between 0 and 1, shape (size,), for one purpose at one batch; overridden by `Replicas`."""
        source = self.source(purpose, batch_idx, epoch)
        return torch.rand(size, generator=source, device=self.device, dtype=self.dtype)

    def draw_translation(self, size: int, purpose: str, batch_idx: int, epoch: int | None = None) -> list[Tensor]:
        """A translation of each structure along the axes `translated`, (size, 1, 3); none where there are no axes."""
        if not self.translated:
            return []
        drawn = {axis: self.draw_uniform(size, f"{purpose} {axis}", batch_idx, epoch) for axis in self.translated}
        still = torch.zeros_like(drawn[self.translated[0]])
        return [torch.stack([drawn.get(axis, still) for axis in range(3)], dim=-1).unsqueeze(-2)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Learning rates become numbers: runs resume with or without recordings."""
        super().on_save_checkpoint(checkpoint)
        for state in checkpoint.get("optimizer_states", []):
            for group in state["param_groups"]:
                group.update(lr=float(group["lr"]), capturable=False)
        for state in checkpoint.get("lr_schedulers", []):
            state["_last_lr"] = [float(rate) for rate in state["_last_lr"]]


def _best(structures: Tensor, ratings: Tensor, best_of: int) -> Tensor:
    """Of every `best_of` structures in turn the one with the highest rating, the first of equals."""
    first = torch.arange(0, len(ratings), best_of, device=ratings.device)
    return structures[first + ratings.view(-1, best_of).argmax(dim=1)]
