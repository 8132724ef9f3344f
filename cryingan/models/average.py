"""Exponential moving averages of weights, from which samples come (`ema` in the settings of a model)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from cryingan.errors import CryinGANError


class Average(AveragedModel):
    """Weights that follow those of a network, each step by a share of 1 - decay of what is between them.

    The first `update_parameters` makes them a copy.

    Args:
        network: what they follow.
        decay: between 0 and 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.requires_grad_(False)  # or several processes would exchange gradients that it has not
        self.in_place = False

    @property
    def begun(self) -> bool:
        """Whether there has been an update."""
        return bool(self.n_averaged > 0)

    def follow(self, network: nn.Module) -> None:
        """As `update_parameters` of a copy, without asking the device for a value: it can be recorded."""
        own, followed = ([p.detach() for p in one.parameters()] for one in (self.module, network))
        self.multi_avg_fn(own, followed, self.n_averaged)

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Have a network compute with the averaged weights, once these have begun; its buffers stay its own."""
        if self.in_place or not self.begun:
            yield
            return
        self._exchange(network)
        try:
            yield
        finally:
            self._exchange(network)

    def _exchange(self, network: nn.Module) -> None:
        self.in_place = not self.in_place
        for own, followed in zip(self.module.parameters(), network.parameters(), strict=True):
            own.data, followed.data = followed.data, own.data

    def with_statistics(self, noise: Iterable[Tensor]) -> nn.Module:
        """A copy for evaluation, whose statistics of BatchNorm are means over batches of inputs.

        They are those of no single step and no mean of them: they are functions of the weights.
        """
        network = copy.deepcopy(self.module)
        update_bn(noise, network)
        return network.eval()


class KeepAverage(Callback):
    """Has a model's average follow every step of the optimisers of its weights, and validates the averaged weights."""

    def __init__(self) -> None:
        self.validation = ExitStack()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Follow from now on.

        Raises:
            CryinGANError: there are weights that the average does not have.
        """
        followed = pl_module.followed()
        weights = set(followed.parameters())
        if len(weights) != len(list(pl_module.averaged.module.parameters())):
            raise CryinGANError(
                f"ema: {type(pl_module).__name__} has weights that were not made in `build`: none follow them"
            )

        def follow(*_: Any) -> None:
            pl_module.averaged.update_parameters(followed)

        for optimizer in trainer.optimizers:
            if any(weights.intersection(group["params"]) for group in optimizer.param_groups):
                optimizer.register_step_post_hook(follow)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the averaged weights."""
        self.validation.enter_context(pl_module.averaged_weights())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the trained ones again."""
        self.validation.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the trained ones again."""
        self.validation.close()
