"""Stop a training at the first value that is not finite, before it changes a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from cryingan.errors import TrainingDiverged


class FiniteWatch:
    """Watch the values of every step on the device, without making it wait.

    Attributes:
        flag: 1 from the first step on that had a value that is not finite. As `found_inf` of a fused Adam it keeps this
            step and the later ones from changing weights.
        every_step: whether to look after every step. Looking waits for the device; on a CPU that costs nothing,
            elsewhere the end of an epoch is early enough, as no weight changes until then.
        saved: what the message says of the weights.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.flag = torch.zeros((), device=device)
        self.every_step = self.flag.device.type == "cpu"
        self.noted: list[tuple[list[str], Tensor, int, int]] = []
        self.saved = "no weight was changed by it"

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
