"""Resolve settings such as `auto` to a torch device or an accelerator of Lightning; the CPU's memory and its maker."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from cryingan.errors import CryinGANError

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of glibc's malloc.h


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

    Raises:
        CryinGANError: it is a GPU and PyTorch finds none.
    """
    import torch

    if name == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    if name in ("gpu", "cuda") and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise CryinGANError(
            f"trainer.accelerator={name}: PyTorch finds no GPU here; trainer=cpu or trainer=auto trains"
        )
    return name


def processor_vendor() -> str:
    """The maker of the processor as Linux names it, such as GenuineIntel or AuthenticAMD; empty where it is unknown."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("vendor_id")), "")


def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed tensors for the next ones, before the first tensor.

    By default glibc returns large blocks to the kernel and gets them again page by page, each filled with zeros. Where
    there is no glibc, nothing is done; on accelerators PyTorch keeps memory by itself.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
