"""Resolve settings such as `auto` to a torch device or an accelerator of Lightning."""

from __future__ import annotations

from cryingan.errors import CryinGANError


def resolve_device(device: str) -> str:
    """Return the torch device that a setting means.

    Args:
        device: name of a torch device, or `auto` for the CUDA GPU where there is one, else the CPU.

    Raises:
        CryinGANError: the machine does not have the device.
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
    """Return the accelerator of Lightning that a setting means.

    Lightning's own `auto` may choose Apple's GPU, which has no float64.

    Args:
        name: an accelerator of Lightning, or `auto` for a CUDA GPU where there is one, else the CPU.
    """
    import torch

    if name == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    return name
