"""Layers for images in frames, (structures, frames, channels, rows, columns); an image alone is one frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 3  # frames that a layer over frames sees: its own and the two before


def each_frame(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply a function of images (structures, channels, rows, columns) to every frame."""
    return function(images.flatten(0, 1)).unflatten(0, images.shape[:2])


def delayed(images: Tensor, frames: int) -> Tensor:
    """Every frame in the place of the one so many later; zeros come first."""
    return functional.pad(images, (0, 0, 0, 0, 0, 0, frames, 0))[:, : images.shape[1]]


class FrameNorm(nn.GroupNorm):
    """Group normalisation over the channels of a group, all frames and all pixels."""

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape."""
        return super().forward(images.transpose(1, 2)).transpose(1, 2)


class FrameConvolution(nn.Module):
    """A convolution of every frame, then a causal one over three frames of every pixel, which begins as the identity.

    Args:
        inputs: channels.
        outputs: channels.
        size: of the kernel, odd.
        over_frames: whether there is a second convolution.
    """

    def __init__(self, inputs: int, outputs: int, size: int, over_frames: bool) -> None:
        super().__init__()
        self.pixels = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        self.frames = nn.Conv2d(REACH * outputs, outputs, 1) if over_frames else None
        if self.frames is not None:
            nn.init.zeros_(self.frames.bias)
            with torch.no_grad():
                self.frames.weight.copy_(torch.eye(outputs, REACH * outputs)[..., None, None])

    def forward(self, images: Tensor) -> Tensor:
        """From `inputs` to `outputs` channels; a frame depends on no later one."""
        images = each_frame(self.pixels, images)
        if self.frames is None:
            return images
        return each_frame(self.frames, torch.cat([delayed(images, k) for k in range(REACH)], dim=2))


class FrameFilter(nn.Module):
    """A causal convolution over three frames of every channel by itself, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        bound = REACH**-0.5
        self.weight = nn.Parameter(torch.empty(REACH, channels, 1, 1).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1).uniform_(-bound, bound))

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape; a frame depends on no later one."""
        return images + self.bias + sum(self.weight[k] * delayed(images, k) for k in range(REACH))


class Gate(nn.Module):
    """A factor between 0 and 1 for every channel, from a weighted mean over all frames and pixels (global context)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(channels, 1)
        hidden = max(3, channels // 2)
        self.factor = nn.Sequential(nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape."""
        places = images.transpose(2, 4).flatten(1, 3)
        weights = self.weigh(places).softmax(dim=1)
        return images * self.factor((places * weights).sum(dim=1))[:, None, :, None, None]


class Halve(nn.Module):
    """Half the rows and columns: four pixels become the channels of one, then a linear map of channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(4 * inputs, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(structures, frames, inputs, 2 h, 2 w) to (structures, frames, outputs, h, w)."""
        return each_frame(lambda frames: self.linear(functional.pixel_unshuffle(frames, 2)), images)


class Double(nn.Module):
    """Twice the rows and columns: a linear map of channels, SiLU, then the channels of a pixel become four pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(structures, frames, inputs, h, w) to (structures, frames, outputs, 2 h, 2 w)."""
        return each_frame(lambda frames: functional.pixel_shuffle(functional.silu(self.linear(frames)), 2), images)


class Widen(nn.Module):
    """Other channels in the same rows and columns: a convolution of 3 x 3 pixels plus a linear map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.linear = nn.Conv2d(inputs, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """From `inputs` to `outputs` channels."""
        return each_frame(lambda frames: self.convolution(frames) + self.linear(frames), images)
