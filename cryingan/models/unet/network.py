"""The U-Net of UniMat and CrysTens: Imagen's efficient U-Net (Saharia et al. 2022), for one image or for frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cryingan.models.unet.blocks import FrameMixer, PixelMixer, ResidualBlock, Time
from cryingan.models.unet.frames import Double, FrameConvolution, Halve, Widen

KERNELS = (3, 7, 15)  # of the first convolutions, side by side
SKIP_SCALE = 2**-0.5


@dataclass
class Shape:
    """What a `UNet` consists of.

    Attributes:
        width: channels of the first level.
        multiples: channels of each level over `width`.
        blocks: residual blocks of each level, besides its first one.
        attention: whether a level has attention between pixels and to the time.
        heads: heads of every attention, and numbers in a head.
        frames: whether images come in frames, which causal layers connect.
        linear_attention: whether the levels without `attention` have one whose cost grows as the number of pixels.
        given_image: whether there is an image that helps, with a time of its own.
        halve_first: levels halve the image before their blocks, not after them.
        middle_feed_forward: whether linear maps of every pixel follow the attention in the middle.
    """

    width: int
    multiples: Sequence[int]
    blocks: Sequence[int]
    attention: Sequence[bool]
    heads: tuple[int, int] = (8, 64)
    frames: bool = False
    linear_attention: bool = False
    given_image: bool = False
    halve_first: bool = False
    middle_feed_forward: bool = False

    @property
    def time_width(self) -> int:
        """Width of the vector of the time."""
        return 4 * self.width * (1 + self.given_image)

    @property
    def channels(self) -> list[tuple[int, int]]:
        """Channels that every level gets and those that it hands down."""
        ends = [self.width * multiple for multiple in self.multiples]
        return list(zip([self.width, *ends], ends, strict=False))

    @property
    def divisor(self) -> int:
        """What rows and columns of an image are divisible by."""
        return 2 ** (len(self.multiples) - (not self.halve_first))

    def block(self, inputs: int, outputs: int, gate: bool = False, context: bool = False) -> ResidualBlock:
        """A residual block; with `context` it attends to the time."""
        width = self.width if context else 0
        return ResidualBlock(inputs, outputs, self.time_width, self.frames, gate, width, self.heads)


class Level(nn.Module):
    """The blocks of a level, on the way down or on the way up.

    Args:
        shape: of the U-Net.
        number: of the level.
        width: channels.
        skipped: channels that join those of every block on the way up; 0 on the way down.
    """

    def __init__(self, shape: Shape, number: int, width: int, skipped: int = 0) -> None:
        super().__init__()
        attention = bool(shape.attention[number])
        self.first = shape.block(width + skipped, width, context=attention)
        self.blocks = nn.ModuleList(
            [shape.block(width + skipped, width, gate=True) for _ in range(shape.blocks[number])]
        )
        linear = shape.linear_attention and not attention
        self.mixer = PixelMixer(width, shape.width, shape.heads, linear) if attention or linear else None
        self.frames = FrameMixer(width, shape.heads) if shape.frames else None

    def _mixed(self, images: Tensor, tokens: Tensor) -> Tensor:
        images = images if self.mixer is None else self.mixer(images, tokens)
        return images if self.frames is None else self.frames(images)

    def down(self, images: Tensor, time: Tensor, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Images of the same shape; what is skipped to the way up is appended to `skips`."""
        images = self.first(images, time, tokens)
        for block in self.blocks:
            images = block(images, time, tokens)
            skips.append(images)
        images = self._mixed(images, tokens)
        skips.append(images)
        return images

    def up(self, images: Tensor, time: Tensor, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Images of the same shape; what was skipped is taken from the end of `skips`."""
        for block in (self.first, *self.blocks):
            images = block(torch.cat([images, skips.pop() * SKIP_SCALE], dim=2), time, tokens)
        return self._mixed(images, tokens)


class Middle(nn.Module):
    """Two blocks with attention between pixels, and between frames, in their midst."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.before, self.after = (shape.block(width, width, context=True) for _ in range(2))
        self.mixer = PixelMixer(width, 0, shape.heads, feed_forward=shape.middle_feed_forward)
        self.frames = FrameMixer(width, shape.heads) if shape.frames else None

    def forward(self, images: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        """Images of the same shape."""
        images = self.mixer(self.before(images, time, tokens), tokens)
        images = images if self.frames is None else self.frames(images)
        return self.after(images, time, tokens)


class UNet(nn.Module):
    """The noise in images of structures; zero before training.

    Args:
        inputs: channels of the images.
        shape: what the network consists of.
    """

    def __init__(self, inputs: int, shape: Shape) -> None:
        super().__init__()
        width, channels = shape.width, shape.channels
        seen = inputs * (1 + shape.given_image)
        parts = (width // 2, width // 4, width // 4)
        self.first = nn.ModuleList(
            [FrameConvolution(seen, n, size, False) for n, size in zip(parts, KERNELS, strict=True)]
        )
        self.frames = FrameMixer(width, shape.heads) if shape.frames else None
        self.block = shape.block(width, width, gate=True) if shape.halve_first else None
        self.times = nn.ModuleList([Time(shape.time_width, width) for _ in range(1 + shape.given_image)])
        self.norm = nn.LayerNorm(width)
        self.down, self.up, self.smaller, self.larger = (nn.ModuleList() for _ in range(4))
        for number, (before, after) in enumerate(channels):
            own, last = (after if shape.halve_first else before), number == len(channels) - 1
            change = Halve if shape.halve_first or not last else Widen
            self.down.append(Level(shape, number, own))
            self.smaller.append(change(before, after))
            self.up.append(Level(shape, number, after, own))
            self.larger.append(Double(after, before) if shape.halve_first or number else nn.Identity())
        self.middle = Middle(shape, channels[-1][1])
        self.last_block = shape.block(width, width, gate=True)
        self.last = FrameConvolution(width + inputs * shape.given_image, inputs, 3, False)
        for weights in self.last.parameters():
            nn.init.zeros_(weights)
        self.halve_first = shape.halve_first

    def forward(
        self, images: Tensor, log_snr: Tensor, given: Tensor | None = None, given_log_snr: Tensor | None = None
    ) -> Tensor:
        """The noise.

        Args:
            images: with noise, (structures, frames, channels, rows, columns).
            log_snr: logarithm of their signal-to-noise ratio, shape (structures,).
            given: with `given_image`, an image that helps, of the same shape.
            given_log_snr: likewise, its ratio.
        """
        time, tokens = self._time(log_snr, given_log_snr)
        seen = images if given is None else torch.cat([images, given], dim=2)
        hidden = torch.cat([convolution(seen) for convolution in self.first], dim=2)
        hidden = hidden if self.frames is None else self.frames(hidden)
        hidden = hidden if self.block is None else self.block(hidden, time, tokens)
        skips: list[Tensor] = []
        for level, smaller in zip(self.down, self.smaller, strict=True):
            hidden = smaller(hidden) if self.halve_first else hidden
            hidden = level.down(hidden, time, tokens, skips)
            hidden = hidden if self.halve_first else smaller(hidden)
        hidden = self.middle(hidden, time, tokens)
        for level, larger in zip(reversed(self.up), reversed(self.larger), strict=True):
            hidden = larger(level.up(hidden, time, tokens, skips))
        hidden = self.last_block(hidden, time, tokens)
        return self.last(hidden if given is None else torch.cat([hidden, given], dim=2))

    def _time(self, log_snr: Tensor, given_log_snr: Tensor | None) -> tuple[Tensor, Tensor]:
        ratios = [log_snr] if given_log_snr is None else [log_snr, given_log_snr]
        vectors, tokens = zip(*(time(ratio) for time, ratio in zip(self.times, ratios, strict=True)), strict=True)
        return sum(vectors), self.norm(torch.cat(tokens, dim=1))
