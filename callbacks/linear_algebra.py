"""The library that multiplies matrices on a CPU: chosen when a run starts, kept by it, told where it is not MKL."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cryingan.errors import CryinGANError
from cryingan.linear_algebra import MKL, ONEDNN, quickest, rounding, speeds, use_library
from cryingan.models.cryingan.networks import Linear

OTHERWISE = " rounded otherwise than where the checkpoint was written: not bit for bit the run that it was"


class LinearAlgebra(Callback):
    """Chooses the library of matrix products (`cryingan.linear_algebra`) and keeps it in checkpoints. Logs nothing.

    Libraries round differently, and so do processors. So a run that resumes with `auto` keeps its library, and every
    run on a CPU says so if products are rounded otherwise than where its checkpoint was written. Checkpoints of
    versions without the choice are of MKL. All processes of a run do what the first one chooses. There is a choice for
    CryinGAN's layers, in float32, on a CPU, for a run that is alone in its process; for others products are PyTorch's
    own.

    Args:
        setting: auto, mkl or onednn (trainer.linear_algebra).
    """

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self.saved: dict[str, str] = {}
        self.used: dict[str, str] = {}

    def state_dict(self) -> dict[str, str]:
        """The library of the run, and how its products are rounded; empty on other devices."""
        return self.used

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take those of the checkpoint."""
        self.saved = state_dict

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose, and say so where it is not MKL.

        Raises:
            CryinGANError: oneDNN is asked for where it is not there, or where there is no choice.
        """
        if not _has_choice(trainer, pl_module):
            if self.setting == ONEDNN:
                raise CryinGANError(
                    "trainer.linear_algebra=onednn is for CryinGAN, comb and cgcnn on a CPU, with "
                    "trainer.precision=32-true and one run in a process; use auto"
                )
            use_library(MKL)
            self._compare(trainer)
            return
        before = self.saved.get("library", MKL) if trainer.ckpt_path else None
        name = (before or quickest()) if self.setting == "auto" else self.setting
        use_library(name := trainer.strategy.broadcast(name))
        self.used = {"library": name, "rounding": rounding()}
        if trainer.is_global_zero:
            remark = self._otherwise(before)
            if remark or name != MKL:
                print(f"matrix products by {name}{_how_fast(name)}{remark}", flush=True)

    def _compare(self, trainer: Trainer) -> None:
        """Without a choice, say where a resumed run rounds otherwise: on another processor, or by a quicker MKL."""
        if trainer.strategy.root_device.type != "cpu":
            return
        self.used = {"library": MKL, "rounding": rounding()}
        if trainer.is_global_zero and self._rounds_otherwise():
            print(f"matrix products are{OTHERWISE}", flush=True)

    def _rounds_otherwise(self) -> bool:
        return self.saved.get("rounding", self.used["rounding"]) != self.used["rounding"]

    def _otherwise(self, before: str | None) -> str:
        """What a run that resumes should say of the library and the processor that it began with."""
        used = self.used["library"]
        if before not in (None, used):
            return f"; the run began with {before}, so it is no longer bit for bit what it would have been"
        if self._rounds_otherwise():
            return f",{OTHERWISE}"
        better = quickest() if before else used
        return f", as the run began; trainer.linear_algebra={better} is quicker here" if better != used else ""


def _has_choice(trainer: Trainer, model: LightningModule) -> bool:
    layers = any(isinstance(module, Linear) for module in model.modules())
    alone = not getattr(model, "companions", ())
    return layers and alone and trainer.strategy.root_device.type == "cpu" and trainer.precision == "32-true"


def _how_fast(name: str) -> str:
    """How many times as fast as MKL a library is here, in brackets; empty of one that is not faster."""
    found = speeds()
    times = found.get(name, 0.0) / found[MKL]
    return f" ({times:.1f} times as fast as {MKL})" if times > 1 else ""
