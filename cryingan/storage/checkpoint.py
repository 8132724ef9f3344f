"""Read checkpoints without executing anything."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from cryingan.errors import CryinGANError

# What reading a file that is cut short or overwritten raises, besides what torch says of pickles.
CORRUPT = (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint of tensors and plain Python values to the CPU.

    Raises:
        CryinGANError: there is no such file, it is cut short, or it holds anything but plain data.
    """
    try:
        stored = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise CryinGANError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        content = torch.load(stored, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CryinGANError(f"{path} holds more than tensors and plain values and is not opened") from error
    except CORRUPT as error:
        raise CryinGANError(f"{path} is not a whole checkpoint") from error
    if not isinstance(content, dict):
        raise CryinGANError(f"{path} is not a checkpoint: it holds a {type(content).__name__}")
    return content
