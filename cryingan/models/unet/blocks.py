"""The parts of the U-Net: the time, residual blocks, attention between pixels, and what acts over frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryingan.models.unet.attention import CrossAttention, LinearAttention, SelfAttention, plain_norm
from cryingan.models.unet.frames import FrameConvolution, FrameFilter, FrameNorm, Gate

GROUPS = 8  # of the normalisation
WAVES = 8
TOKENS = 2  # that the time becomes, besides a vector


class Time(nn.Module):
    """A log signal-to-noise ratio as a vector and as tokens.

    Args:
        width: of the vector.
        token_width: of a token.
    """

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(WAVES))
        self.hidden = nn.Sequential(nn.Linear(1 + 2 * WAVES, width), nn.SiLU())
        self.vector = nn.Linear(width, width)
        self.tokens = nn.Linear(width, TOKENS * token_width)

    def forward(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """(structures,) to (structures, width) and (structures, tokens, token_width)."""
        phases = 2 * torch.pi * log_snr[:, None] * self.frequencies
        hidden = self.hidden(torch.cat([log_snr[:, None], phases.sin(), phases.cos()], dim=1))
        return self.vector(hidden), self.tokens(hidden).unflatten(1, (TOKENS, -1))


class ResidualBlock(nn.Module):
    """Normalisation, SiLU and convolution, twice; scale and shift of the second follow from the time.

    Args:
        inputs: channels.
        outputs: channels.
        time: width of the time.
        over_frames: whether images have frames.
        gate: whether channels have a factor in the end.
        context: width of tokens of the time, which pixels attend to in between; 0: they do not.
        heads: heads of that attention, and numbers in a head.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        time: int,
        over_frames: bool,
        gate: bool = False,
        context: int = 0,
        heads: tuple[int, int] = (8, 64),
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList([FrameNorm(GROUPS, inputs), FrameNorm(GROUPS, outputs)])
        self.convolutions = nn.ModuleList(
            [FrameConvolution(channels, outputs, 3, over_frames) for channels in (inputs, outputs)]
        )
        self.time = nn.Linear(time, 2 * outputs)
        self.cross = CrossAttention(outputs, context, *heads) if context else None
        self.gate = Gate(outputs) if gate else None
        self.skip = FrameConvolution(inputs, outputs, 1, False) if inputs != outputs else None

    def forward(self, images: Tensor, time: Tensor, tokens: Tensor) -> Tensor:
        """Images of `outputs` channels, from the time (structures, its width) and its tokens."""
        hidden = self.convolutions[0](functional.silu(self.norms[0](images)))
        if self.cross is not None:
            hidden = self._with_time(hidden, tokens)
        scale, shift = self.time(functional.silu(time))[:, None, :, None, None].chunk(2, dim=2)
        hidden = self.convolutions[1](functional.silu(self.norms[1](hidden) * (scale + 1) + shift))
        if self.gate is not None:
            hidden = self.gate(hidden)
        return hidden + (images if self.skip is None else self.skip(images))

    def _with_time(self, images: Tensor, tokens: Tensor) -> Tensor:
        places = images.transpose(1, 2).flatten(2).transpose(1, 2)
        shape = (images.shape[2], images.shape[1], *images.shape[3:])
        return self.cross(places, tokens).transpose(1, 2).unflatten(2, shape[1:]).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear maps of every token with GELU between them, added to the tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            plain_norm(width),
            nn.Linear(width, 2 * width, bias=False),
            nn.GELU(),
            plain_norm(2 * width),
            nn.Linear(2 * width, width, bias=False),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens of the same shape, (..., width)."""
        return tokens + self.layers(tokens)


class PixelMixer(nn.Module):
    """Attention between the pixels of a frame, and with `feed_forward` two linear maps of each after it.

    Args:
        width: channels.
        context: width of tokens that pixels attend to as well; 0: none.
        heads: heads of the attention, and numbers in a head.
        linear: attention whose cost grows as the number of pixels.
        feed_forward: whether the linear maps follow.
    """

    def __init__(
        self, width: int, context: int, heads: tuple[int, int], linear: bool = False, feed_forward: bool = True
    ) -> None:
        super().__init__()
        self.linear = LinearAttention(width, context, *heads) if linear else None
        self.attention = None if linear else SelfAttention(width, *heads, context=context)
        self.feed_forward = FeedForward(width) if feed_forward else None

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Images of the same shape; frames are mixed by themselves, each with the tokens of its structure."""
        frames, tokens = images.flatten(0, 1), tokens.repeat_interleave(images.shape[1], dim=0)
        if self.linear is not None:
            found = self.linear(frames, tokens)
        else:
            found = self.attention(frames.flatten(2).transpose(1, 2), tokens).transpose(1, 2)
        images = found.reshape(images.shape)
        if self.feed_forward is None:
            return images
        return self.feed_forward(images.movedim(2, -1)).movedim(-1, 2)


class FrameMixer(nn.Module):
    """What connects frames: a filter, then causal attention between the frames of every pixel.

    Args:
        width: channels.
        heads: heads of the attention, and numbers in a head.
    """

    def __init__(self, width: int, heads: tuple[int, int]) -> None:
        super().__init__()
        self.filter = FrameFilter(width)
        self.attention = SelfAttention(width, *heads, causal=True)

    def forward(self, images: Tensor) -> Tensor:
        """Images of the same shape; a frame depends on no later one."""
        images = self.filter(images)
        places = images.permute(0, 3, 4, 1, 2)  # frames of a pixel are its tokens
        found = self.attention(places.flatten(0, 2))
        return found.view(places.shape).permute(0, 3, 4, 1, 2)
