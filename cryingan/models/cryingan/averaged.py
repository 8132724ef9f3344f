"""The exponential moving average of a generator, from which samples come (`ema`)."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn


class AveragedGenerator(AveragedModel):
    """A generator whose weights follow those of another, each step by a share of 1 - decay of what is between them.

    Statistics of BatchNorm are those of no single step and no mean of them: they are functions of the weights, and are
    found anew for the averaged ones.

    Args:
        generator: what it follows; the first `update_parameters` makes it a copy.
        decay: between 0 and 1.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        super().__init__(generator, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.requires_grad_(False)

    def follow(self, generator: nn.Module) -> None:
        """As `update_parameters` of a copy, without asking the device for a value: it can be recorded."""
        own, followed = ([p.detach() for p in network.parameters()] for network in (self.module, generator))
        self.multi_avg_fn(own, followed, self.n_averaged)

    def with_statistics(self, noise: Iterable[Tensor]) -> nn.Module:
        """A copy for evaluation, whose statistics are means over batches of noise (structures, latent_dim)."""
        network = copy.deepcopy(self.module)
        update_bn(noise, network)
        return network.eval()
