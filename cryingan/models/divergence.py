"""Stop a training at the first value that is not finite, before it changes a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from cryingan.errors import TrainingDiverged


class FiniteWatch:
    """Watch the values of every step on the device, without making it wait.

    Attributes:
        flag: 1 from the first step on that had a value that is not finite. As `found_inf` of a fused Adam it keeps this
            step and the later ones from changing weights.
        every_step: whether to look after every step. Looking waits for the device; on a CPU that costs nothing,
            elsewhere the end of an epoch is early enough, as no weight changes until then.
        obeyed: whether the optimisers obey the flag; the model then shows the watch its values.
        saved: what the message says of the weights.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.flag = torch.zeros((), device=device)
        self.every_step = self.flag.device.type == "cpu"
        self.obeyed = False
        self.noted: list[tuple[list[str], Tensor, int, int]] = []
        self.saved = "no weight was changed by it"

    @classmethod
    def obeyed_by(cls, optimizers: Sequence[Optimizer], device: torch.device) -> FiniteWatch:
        """A watch whose flag keeps fused optimisers on a device from their steps."""
        watch = cls(device)
        watch.obeyed = True
        for optimizer in optimizers:
            optimizer.found_inf = watch.flag
        return watch

    def see(self, values: Tensor) -> None:
        """Raise the flag if one of the values is not finite."""
        torch.maximum(self.flag, values.isfinite().all().logical_not().to(self.flag), out=self.flag)

    def note(self, names: list[str], values: Tensor, epoch: int, batch: int) -> None:
        """Keep a step's values, so that `require_finite` can name what went wrong first."""
        self.noted.append((names, values, epoch, batch))

    def require_finite(self) -> None:
        """Raise `TrainingDiverged` if the flag is up; it names values, epoch and batch of the first such step."""
        noted, self.noted = self.noted, []
        if not self.flag:
            return
        advice = "start again in another run_dir, with smaller learning rates or other data"
        for names, values, epoch, batch in noted:
            finite = values.isfinite().flatten(1).all(dim=1) if values.dim() > 1 else values.isfinite()
            bad = [name for name, good in zip(names, finite.tolist(), strict=True) if not good]
            if bad:
                what = f"{', '.join(bad)} not finite in epoch {epoch}, batch {batch}"
                raise TrainingDiverged(f"{what}: {self.saved}; {advice}")
        raise TrainingDiverged(f"a value was not finite in an earlier step: {self.saved}; {advice}")


class StopAtNaN(Callback):
    """Ends the training of a model at the first loss or gradient that is not finite, before a weight changes.

    Where the optimisers do not obey the model's `watch`, every loss and every gradient is looked at here.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """See the loss; several processes stop together at the gradients, which they share."""
        self._see(trainer, pl_module.watch, "loss", loss)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """See the gradients, and stop before the step."""
        if not pl_module.watch.obeyed:
            weights = (p for group in optimizer.param_groups for p in group["params"])
            norm = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
            self._see(trainer, pl_module.watch, "gradient_norm", norm)
            pl_module.watch.require_finite()

    def _see(self, trainer: Trainer, watch: FiniteWatch, name: str, value: Tensor) -> None:
        if not watch.obeyed:
            watch.see(value.detach())
            watch.note([name], value.detach().reshape(1), trainer.current_epoch, trainer.fit_loop.batch_idx)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Stop, if the optimisers obeyed a flag."""
        if pl_module.watch.every_step or trainer.is_last_batch:
            pl_module.watch.require_finite()
