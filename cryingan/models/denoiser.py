"""The training that models from noise to structures share: a loss at a random time, Adam, a schedule."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from cryingan.errors import CryinGANError
from cryingan.models.base import GenerativeModel
from cryingan.models.denoiser_settings import DenoiserSettings, Schedule
from cryingan.models.divergence import FiniteWatch
from cryingan.models.epoch_means import EpochMeans
from cryingan.randomness import generator


class Denoiser(GenerativeModel):
    """A network that learns to remove noise. A subclass has `make_network`, `losses` and `generate`.

    Logged once per epoch: `train/loss` and other quantities that `quantities` names; `train/gradient_norm`, before
    clipping; `train/learning_rate`; for the held-out structures, always at the same times with the same noise,
    `val/loss` and the others.

    Args:
        cell: lattice vectors in rows, Angstrom, (3, 3) nested lists.
        species: chemical symbol of every atom, in the order of the user's file.
        settings: network and training.
        shift: as in `cryingan.models.base.GenerativeModel`.

    Attributes:
        quantities: names of what `losses` returns, in its order.
        network: what is trained.
        betas: decays of Adam's averages of gradients and of their squares.
    """

    averages = "network"
    batch_size = 16
    held_out_loss = "val/loss"
    quantities: tuple[str, ...] = ("loss",)
    betas: tuple[float, float] = (0.9, 0.999)

    def build(self, settings: DenoiserSettings) -> None:
        """The network."""
        self.automatic_optimization = False
        with torch.random.fork_rng(devices=[]):  # layers take their initial weights from the global generator
            torch.manual_seed(generator(settings.seed, "initial weights").initial_seed())
            self.network = self.make_network(settings)
        self.means = EpochMeans([*self.quantities, "gradient_norm"])
        self.validated: list[Tensor] = []

    @property
    def logged_keys(self) -> set[str]:
        """All keys of metrics.csv that training logs."""
        trained = {f"train/{name}" for name in (*self.means.names, "learning_rate")}
        return trained | {f"val/{name}" for name in self.quantities}

    def _species_rows(self, name: str = "") -> tuple[Tensor, int]:
        """The row of an embedding of each grouped atom, and the number of rows.

        Where a setting of this name is not 0, it is the number of rows, and the atomic number chooses one.
        """
        rows = self.hparams[name] if name else 0
        if not rows:
            symbols = list(self.template.counts)
            return torch.tensor([symbols.index(symbol) for symbol in self.grouped_species]), len(symbols)
        from ase.data import atomic_numbers

        numbers = torch.tensor([atomic_numbers[symbol] for symbol in self.grouped_species])
        if numbers.max() > rows:
            raise CryinGANError(f"model.{name}={rows}: the set has an element of number {numbers.max()}")
        return numbers - 1, rows

    @abstractmethod
    def make_network(self, settings: DenoiserSettings) -> nn.Module:
        """The network, with weights from the global generator."""

    @abstractmethod
    def losses(self, fractional: Tensor, shares: Tensor, source: torch.Generator) -> dict[str, Tensor]:
        """The loss and other quantities that are logged, means over structures.

        Args:
            fractional: training structures, shape (structures, atoms, 3).
            shares: of the range of times, uniform in [0, 1), shape (structures,).
            source: of all other random numbers.
        """

    def objective(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What is minimised."""
        return losses["loss"]

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """One step of Adam."""
        source = self.source("times and noise", batch_idx)
        shares = torch.rand(len(batch), generator=source, device=self.device, dtype=self.dtype)
        losses = self.losses(batch[..., :3], shares, source)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.objective(losses))
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), float("inf"))
        if self.hparams.clip:
            nn.utils.clip_grad_value_(self.network.parameters(), self.hparams.clip)
        values = torch.stack([*(losses[name].detach() for name in self.quantities), norm])
        self.watch.see(values)
        self.watch.note(self.means.names, values, self.current_epoch, batch_idx)
        optimizer.step()
        self.means.update(values, len(batch))

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """The loss, at times spread over the batch, other ones in each batch."""
        source = self.source("validation", batch_idx, epoch=0)
        order = torch.randperm(len(batch), generator=source, device=self.device)
        within = torch.rand((), generator=source, device=self.device, dtype=self.dtype)
        losses = self.losses(batch[..., :3], (order + within) / len(batch), source)
        named = {f"val/{name}": value for name, value in losses.items()}
        self.log_dict(named, batch_size=len(batch), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Remember that the schedule has a new loss."""
        if not self.trainer.sanity_checking:
            self.validated = [self.trainer.callback_metrics["val/loss"]]

    def configure_optimizers(self) -> tuple[list, list]:
        """Adam and its schedule."""
        rate = self.hparams.learning_rate
        optimizer = torch.optim.Adam(self.network.parameters(), lr=rate, betas=self.betas, fused=True)
        self.watch = FiniteWatch.obeyed_by([optimizer], self.device)
        return [optimizer], [self._schedule(optimizer)]

    def _schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR | ReduceLROnPlateau:
        settings = self.hparams
        if settings.schedule == Schedule.plateau:
            return ReduceLROnPlateau(
                optimizer, factor=settings.factor, patience=settings.patience, min_lr=settings.least_learning_rate
            )
        return LambdaLR(optimizer, self._share_of_rate)

    def _share_of_rate(self, epoch: int) -> float:
        """The learning rate of an epoch over the first one; a resumed run may have more epochs than it began with."""
        if self.hparams.schedule == Schedule.constant:
            return 1.0
        least = min(1.0, self.hparams.least_learning_rate / self.hparams.learning_rate)
        done = min(1.0, epoch / max(1, self.trainer.max_epochs))
        return least + (1 - least) * (1 + math.cos(math.pi * done)) / 2

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch and step the schedule, before the epoch's checkpoint is written."""
        rate = float(self.optimizers().param_groups[0]["lr"])
        self.log_epoch({f"train/{name}": v for name, v in {**self.means.compute(), "learning_rate": rate}.items()})
        self.means.reset()
        if self.hparams.schedule != Schedule.plateau:
            self.lr_schedulers().step()
        elif self.validated:
            self.lr_schedulers().step(self.validated.pop())

    def draw(self, sources: Sequence[torch.Generator], uniform: bool = False) -> Tensor:
        """Random numbers for one structure from each source, normal or uniform, shape (structures, atoms, 3)."""
        function, shape = (torch.rand if uniform else torch.randn), (len(self.grouping), 3)
        return torch.stack([function(shape, generator=one) for one in sources]).to(self.device, self.dtype)
