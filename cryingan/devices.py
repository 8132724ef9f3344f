"""The torch device that a setting such as `auto` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryingan.errors import CryinGANError

if TYPE_CHECKING:
    pass


def resolve_device(device: str) -> str:
    """The torch device that is meant, `auto` being the GPU where there is one.

    Raises:
        CryinGANError: this machine does not have it.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CryinGANError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def resolve_accelerator(name: str) -> str:
    """Lightning's accelerator that is meant, `auto` being a CUDA GPU where there is one, else the CPU.

    Lightning itself would take Apple's GPU, which knows no float64.
    """
    import torch

    if name == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    return name
