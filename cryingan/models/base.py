"""What every generative model shares: hyper-parameters, random numbers, logging, samples, checkpoints."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from enum import Enum
from typing import Any, ClassVar

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from cryingan.errors import CryinGANError
from cryingan.models.anchor import Anchor
from cryingan.models.average import Average, KeepAverage
from cryingan.models.divergence import FiniteWatch, StopAtNaN
from cryingan.models.finished_batches import FinishedBatch, FinishedBatches
from cryingan.progress import reported
from cryingan.randomness import generator
from cryingan.structures.crystals import Crystals

CHECKPOINT_FORMAT = 2
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class GenerativeModel(lightning.LightningModule):
    """A model of the structures of one cell and one composition.

    A subclass has `kind`, `settings_type`, `training_step` and `generate`. Batches have the shape (structures, atoms,
    3): fractional coordinates, the atoms grouped by species. Random numbers come from `source`, so that a resumed run
    repeats an uninterrupted one. Training ends at the first value that is not finite (`cryingan.models.divergence`).

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: a dataclass, among its fields `seed`; all become hyper-parameters. A field `ema`, the decay of the
            moving average of the weights that samples come from, is taken here; 0: none. None: `settings_type()`.
        shift: origin of the coordinates of batches, in fractions of the cell, which samples do not have; None for 0.
        changes: fields of the settings that differ from `settings`.

    Raises:
        CryinGANError: there is no such setting, or a value is out of range.

    Attributes:
        grouping: permutation of the user's atoms that groups them by species, shape (atoms,).
        kind: name of the model, as in `cryingan.models.registry.MODELS`.
        settings_type: the class of its settings.
        averages: name of the network whose weights `ema` averages; of all weights where it is empty.
        n_neighbors: distances to that many neighbours that batches have behind the coordinates.
        batch_size: structures that are generated at a time.
        held_out_loss: key of the loss of held-out structures, where a model logs one that tells how good it is.
        sampler_keys: settings of the way from noise to structures that `sample` takes.
        tempered: whether samples come from normal noise that `sample` may scale by a temperature.
        rates_samples: whether `sample` may choose among candidates.
        initialized: whether training begins with all weights of another run (`init`).
        rejected: numbers of `candidates` that the last `sample` refused and of those that it `kept` all the same; None
            where the model refuses none.
        translatable: whether structures that are translated at random can be learned.
        translation_invariant: whether the model cannot know where in the cell a structure stands. Its samples are
            translated to where the training structures stand, if these share their sites.
        rotation_invariant: whether it cannot know either how the structure is turned or mirrored, and its samples are
            turned likewise, by what maps the lattice onto itself.
    """

    kind: str
    settings_type: ClassVar[type]
    averages = ""
    n_neighbors = 0
    batch_size = 256
    held_out_loss: str | None = None
    sampler_keys: tuple[str, ...] = ()
    tempered = False
    rates_samples = False
    initialized = False
    rejected: dict[str, int] | None = None
    translatable = True
    translation_invariant = False
    rotation_invariant = False

    def __init__(
        self,
        cell: list[list[float]],
        species: list[str],
        settings: Any = None,
        shift: list[float] | None = None,
        **changes: Any,
    ) -> None:
        super().__init__()
        if lacking := [name for name in ("kind", "settings_type") if not hasattr(self, name)]:
            raise CryinGANError(f"{type(self).__name__} has no `{lacking[0]}` (docs/development.md)")
        settings = settings or self.settings_type()
        known = [field.name for field in fields(settings)]
        if unknown := [name for name in changes if name not in known]:
            raise CryinGANError(
                f"model.{unknown[0]}: {type(self).__name__} has no such setting; it has {', '.join(known)}. A model of "
                "your own has a file configs/model/NAME.yaml, which model=NAME takes"
            )
        self.settings = settings = replace(settings, **changes)
        require_in_range(settings)
        # Plain values, as checkpoints are read with weights_only=True.
        plain = {name: value.value if isinstance(value, Enum) else value for name, value in asdict(settings).items()}
        self.save_hyperparameters({"cell": cell, "species": species, "shift": shift, **plain}, logger=False)
        self.cell = torch.tensor(cell, dtype=torch.float64)  # no buffer: distances need it exact and on the CPU
        self.template = Crystals(np.empty((0, len(species), 3)), cell, species)
        self.grouping = self.template.grouping
        self.anchor = Anchor(self.rotation_invariant) if self.translation_invariant else None
        self.watch = FiniteWatch()
        self.averaged: Average | None = None
        self.build(settings)
        if decay := getattr(settings, "ema", 0.0):
            self.averaged = self.new_average(self.followed(), decay)

    @property
    def logged_keys(self) -> set[str] | None:
        """All keys of metrics.csv that training logs, those of validation included; None where they are not known."""
        return None

    def build(self, settings: Any) -> None:
        """Make networks and buffers; everything of `Attributes` is there, `cell`, `template` and `hparams` too."""

    def configure_callbacks(self) -> list[Callback]:
        """The stop at NaN and the average, which a subclass that overrides this adds to."""
        return [StopAtNaN()] if self.averaged is None else [StopAtNaN(), KeepAverage()]

    def followed(self) -> nn.Module:
        """What `averaged` follows: the network that `averages` names, or all weights."""
        if self.averages:
            return self.get_submodule(self.averages)
        return nn.ParameterList(p for name, p in self.named_parameters() if not name.startswith("averaged."))

    def new_average(self, network: nn.Module, decay: float) -> Average:
        """An average that follows the weights of a network."""
        return Average(network, decay)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """In this context the model has the averaged weights, where there are any."""
        return nullcontext() if self.averaged is None else self.averaged.in_place_of(self.followed())

    def on_fit_start(self) -> None:
        """Find where the training structures stand, unless a checkpoint brought it; batches alone do not tell it."""
        known = self.anchor is None or self.anchor.fitted
        if not known and self.trainer.datamodule is not None:
            self.anchor.fit(self.training_structures())

    def generate(self, sources: Sequence[torch.Generator], **sampler: Any) -> Tensor:
        """One structure from each source of random numbers, fractional coordinates (structures, atoms, 3), grouped."""
        raise NotImplementedError(f"{type(self).__name__} has no `generate`")

    @torch.inference_mode()
    def sample(
        self,
        n: int,
        seed: int,
        batch_size: int | None = None,
        purpose: str = "sample",
        progress: bool = False,
        temperature: float = 1.0,
        best_of: int = 1,
        finished: FinishedBatches | None = None,
        **sampler: Any,
    ) -> Crystals:
        """Exactly `n` structures in the atom order of the user's file, from the networks in evaluation mode.

        A structure depends on `seed`, `purpose` and its number alone, neither on `batch_size` nor on the state of
        training: the first structures of a larger `n` are those of a smaller one. This is but for rounding, in which
        batches of different sizes differ. Refined samples of CryinGAN then differ by up to hundredths of an Angstrom,
        now and then, and CDVAE, on a GPU, amplifies it until structures are others. What
        watches a training has a purpose of its own, so that a model chosen by it is not judged by the same samples.

        Args:
            n: number of structures.
            seed: of the random numbers.
            batch_size: structures at a time; None: what suits the model.
            purpose: a stream of random numbers.
            progress: report on stderr how many structures are there, and the time that the others take.
            temperature: factor of the noise that samples come from, where the model is `tempered`: below 1 samples are
                nearer to the middle of what was learned and less diverse.
            best_of: candidates for each structure, of which the discriminator of distances keeps one, where the model
                has one that was trained.
            finished: batches of the same samples that are not drawn again, and where every new one is kept.
            sampler: settings of the way from noise to structures, which not every model has.

        Raises:
            CryinGANError: `n` is less than 1, or the model has no such setting, or not such a value of it.
        """
        if n < 1:
            raise CryinGANError(f"n={n}: there must be at least 1 sample")
        self._require_sampler(sampler)
        sampler |= self.required_temperature(temperature) | self._required_best_of(best_of)
        size = max((batch_size or self.batch_size) // best_of, 1)
        parts = [range(first, min(first + size, n)) for first in range(0, n, size)]
        found = {part: finished.known[part] for part in parts if part in finished.known} if finished else {}
        drawn = self._drawn([part for part in parts if part not in found], seed, purpose, sampler)
        if progress:
            drawn = reported(drawn, n, "sampling", "sampled", sum(map(len, found)), lambda item: len(item[0]))
        was_training = self.training
        self.eval()
        try:
            for part, batch in drawn:
                found[part] = batch
                if finished:
                    finished.keep(part, batch)
        finally:
            self.train(was_training)
        self.rejected = _summed(found[part].rejected for part in parts) or None
        return self.as_in_file(np.concatenate([found[part].fractional for part in parts]))

    def _require_sampler(self, sampler: dict[str, Any]) -> None:
        """Refuse settings of the sampler that the model does not have, and values that it does not take."""
        for key, value in sampler.items():
            if key not in self.sampler_keys:
                known = ", ".join(self.sampler_keys) or "none"
                raise CryinGANError(f"sampler.{key}: the sampler of {self.kind} has no such key; it has {known}")
            kind = type(self.hparams[key])
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise CryinGANError(f"sampler.{key}={value}: it must be {KINDS[kind]}")
        try:
            require_in_range(replace(self.settings, **sampler))
        except CryinGANError as error:
            raise CryinGANError(str(error).replace("model.", "sampler.", 1)) from error

    def required_temperature(self, temperature: float) -> dict[str, float]:
        """A temperature other than 1 as `batches` takes it, by its name.

        Raises:
            CryinGANError: it is no positive number, or the model has none.
        """
        if not 0 < temperature < math.inf:
            raise CryinGANError(f"temperature={temperature}: it must be a number greater than 0")
        if temperature == 1:
            return {}
        if not self.tempered:
            raise CryinGANError(
                f"temperature={temperature}: the samples of this model ({self.kind}) have no temperature"
            )
        return {"temperature": temperature}

    def _required_best_of(self, best_of: int) -> dict[str, int]:
        """A number of candidates other than 1 as `batches` takes it.

        Raises:
            CryinGANError: it is less than 1, or the model has nothing that rates candidates.
        """
        if best_of < 1:
            raise CryinGANError(f"best_of={best_of}: it must be at least 1")
        if best_of == 1:
            return {}
        if not self.rates_samples:
            raise CryinGANError(
                f"best_of={best_of}: this model ({self.kind}) has no trained discriminator of distances, which would "
                "choose; CryinGAN with lambda above 0 has one"
            )
        return {"best_of": best_of}

    def _drawn(
        self, parts: Sequence[range], seed: int, purpose: str, sampler: dict[str, Any]
    ) -> Iterator[tuple[range, FinishedBatch]]:
        """The numbers of the samples of a batch, and the batch."""
        batches = self.batches(parts, seed, purpose, **sampler)
        for part, (structures, rejected) in zip(parts, batches, strict=False):  # none is begun where there are no parts
            yield part, FinishedBatch(self.placed(structures.cpu().double().numpy()), rejected)

    def batches(
        self, parts: Sequence[range], seed: int, purpose: str, **sampler: Any
    ) -> Iterator[tuple[Tensor, dict[str, int]]]:
        """Samples a batch at a time, grouped, and what was `rejected` on the way; `parts` are their numbers."""
        for numbers in parts:
            with self.averaged_weights():
                batch = self.generate([generator(seed, purpose, number) for number in numbers], **sampler)
            yield batch, {}

    @property
    def grouped_species(self) -> tuple[str, ...]:
        """Chemical symbols in the order of batches."""
        return tuple(self.hparams.species[i] for i in self.grouping)

    def placed(self, fractional: np.ndarray) -> np.ndarray:
        """Grouped coordinates (structures, atoms, 3), brought to the sites of the training structures where need be."""
        if self.anchor is None:
            return fractional
        return self.anchor.placed(Crystals(fractional, self.template.cell, self.grouped_species)).fractional

    def as_in_file(self, fractional: np.ndarray) -> Crystals:
        """Structures with their atoms in the user's order and at the user's origin, from grouped coordinates."""
        if self.hparams.shift is not None:
            fractional = fractional + self.hparams.shift
        return Crystals(fractional, self.template.cell, self.grouped_species).reordered(np.argsort(self.grouping))

    def training_structures(self) -> Crystals:
        """The training structures of the run as batches have them."""
        return self.as_in_batches(self.trainer.datamodule.training)

    def as_in_batches(self, structures: Crystals) -> Crystals:
        """Structures in the user's order as batches have them: grouped, from the origin of the model."""
        if self.hparams.shift is not None:
            structures = replace(structures, fractional=structures.fractional - self.hparams.shift)
        return structures.reordered(self.grouping)

    def source(self, purpose: str, batch_idx: int, epoch: int | None = None) -> torch.Generator:
        """Random numbers for one purpose at one batch of an epoch, the current one if None, on the model's device."""
        step = (self.current_epoch if epoch is None else epoch, batch_idx, self.global_rank)
        return generator(self.hparams.seed, purpose, *step, device=self.device)

    def log_epoch(self, values: dict[str, float]) -> None:
        """Send values of the current epoch to every logger at once, so that no checkpoint is ahead of the log."""
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in self.loggers:
            logger.log_metrics({**values, "epoch": self.current_epoch}, step=self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write none after a NaN; mark model and layout of the file, so that later versions know what they read."""
        self.watch.require_finite()
        checkpoint.update(cryingan_format=CHECKPOINT_FORMAT, cryingan_model=self.kind)


def require_in_range(settings: Any) -> None:
    """Refuse values that mean the same in every model.

    Raises:
        CryinGANError: names the setting.
    """
    if getattr(settings, "seed", 0) < 0:
        raise CryinGANError(f"seed={settings.seed}: it must be at least 0")
    if not 0 <= getattr(settings, "ema", 0.0) < 1:
        raise CryinGANError(f"model.ema={settings.ema}: it must be at least 0 and less than 1")
    for name, words in ((field.name, type(field.default)) for field in fields(settings)):
        if issubclass(words, Enum) and getattr(settings, name) not in list(words):
            raise CryinGANError(f"model.{name}={getattr(settings, name)}: it must be one of {', '.join(words)}")


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sums of counts, by name."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
