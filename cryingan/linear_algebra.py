"""Matrix products of float32 on a CPU, by the library that is quickest there: MKL, as PyTorch takes them, or oneDNN.

MKL takes a slow path on processors that are not Intel's. oneDNN, by which PyTorch takes convolutions, does not, and a
product is a convolution of images that are one pixel wide, with their channels last. PyTorch gives such convolutions to
oneDNN if there are at least 16 images, or several threads. The choice is one of the process. The libraries round
differently, so a run keeps its own (`callbacks.linear_algebra`). Elsewhere it changes nothing: on other devices, in
other precisions, under autocast, with stacked networks.
"""

from __future__ import annotations

import time
from functools import cache, lru_cache
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from cryingan.devices import processor_vendor
from cryingan.errors import CryinGANError

MKL, ONEDNN = "mkl", "onednn"
FEWEST_IMAGES = 16  # with less PyTorch takes another way in one thread
FEWEST_ROWS = 4  # of an image; with less oneDNN is slower
FEWEST_CHANNELS = 16  # likewise
SHAPE = 1024, 256, 256  # rows, inputs and outputs of the product that is measured
ROUNDS = 5
MARGIN = 1.1  # oneDNN has to be so much faster: its small products are slower
_in_use = MKL


def use_library(name: str) -> None:
    """Multiply by `mkl` or `onednn` from now on.

    Raises:
        CryinGANError: this PyTorch has no oneDNN.
    """
    global _in_use
    if name == ONEDNN and not torch.backends.mkldnn.is_available():
        raise CryinGANError("trainer.linear_algebra=onednn: this PyTorch has no oneDNN; use auto or mkl")
    _in_use = name


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The affine map x W^T + b of (..., inputs) by a weight (outputs, inputs) and a bias (outputs,)."""
    images = _images(x, weight, len(weight))
    if not images:
        return functional.linear(x, weight, bias)
    found = functional.conv2d(_as_images(x, images), weight[..., None, None], bias)
    return found.movedim(1, -1).reshape(*x.shape[:-1], len(weight))


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """left^T right of (..., rows, m) and (..., rows, n), shape (..., m, n): a gradient by weights."""
    images = _images(left, right, right.shape[-1])
    if not images:
        return left.mT @ right
    shape = (left.shape[-1], right.shape[-1], 1, 1)
    return conv2d_weight(_as_images(right, images), shape, _as_images(left, images))[..., 0, 0]


def _images(x: Tensor, other: Tensor, outputs: int) -> int:
    """The number of images that the rows of x are for oneDNN; 0 where PyTorch's own product is to be taken."""
    if _in_use != ONEDNN or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return 0
    if not x.dtype == other.dtype == torch.float32 or other.dim() != 2 or min(x.shape[-1], outputs) < FEWEST_CHANNELS:
        return 0
    return _divisor(x.shape[:-1].numel())


@lru_cache(maxsize=1024)
def _divisor(rows: int) -> int:
    return next((images for images in range(FEWEST_IMAGES, rows // FEWEST_ROWS + 1) if rows % images == 0), 0)


def _as_images(x: Tensor, images: int) -> Tensor:
    """(..., channels) -> (images, channels, rows, 1), the channels last in memory."""
    return x.reshape(images, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)


@cache
def speeds() -> dict[str, float]:
    """GFLOP/s of each library here, in turns, some milliseconds; the same at every call of a process."""
    before, names = _in_use, [MKL, ONEDNN] if torch.backends.mkldnn.is_available() else [MKL]
    rows, inputs, outputs = SHAPE
    x, weight = _operands()
    taken = dict.fromkeys(names, float("inf"))
    try:
        for _ in range(ROUNDS + 1):  # the first warms up
            for name in names:
                use_library(name)
                begun = time.perf_counter()
                linear(x, weight)
                taken[name] = min(taken[name], time.perf_counter() - begun)
    finally:
        use_library(before)
    return {name: 2 * rows * inputs * outputs / seconds / 1e9 for name, seconds in taken.items()}


def quickest() -> str:
    """The library to take here: MKL on Intel's processors, elsewhere oneDNN where it is clearly faster."""
    found = speeds()
    faster = found.get(ONEDNN, 0.0) > MARGIN * found[MKL]
    return ONEDNN if faster and processor_vendor() != "GenuineIntel" else MKL


def rounding() -> str:
    """What a product of the library in use is rounded to, as a hash; other machines may round otherwise."""
    return sha256(linear(*_operands()).numpy().tobytes()).hexdigest()[:16]


def _operands() -> tuple[Tensor, Tensor]:
    """Rows and a weight of `SHAPE`, the same at every call."""
    rows, inputs, outputs = SHAPE
    source = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, inputs, generator=source, dtype=torch.float32) for n in (rows, outputs))
    return x, weight
