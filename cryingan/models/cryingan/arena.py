"""Memory that a CPU's training step keeps from one step to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor

LARGE = 2**18  # numbers; with smaller pieces networks gain nothing, and small ones lose 8 %
ALIGNMENT = 16  # numbers; a piece begins with a cache line


class Arena:
    """Hands out pieces of one block, in which a pass finds the pieces of the same pass of the step before.

    The C library gives large pieces back to the kernel when they are freed, and every page that comes anew is a fault
    and a page of zeros. On accelerators PyTorch keeps memory by itself. Where the block is too small, pieces are
    ordinary tensors, and the next pass begins with a larger block. One thread at a time may use it.
    """

    def __init__(self) -> None:
        self.block = torch.empty(0)
        self.frames = self.used = self.most = 0

    def __reduce__(self) -> tuple:
        """Copies of a model have a block of their own."""
        return Arena, ()

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Whatever is taken within is free again at the end; the outermost frame is a pass."""
        start = self.used
        if not self.frames and self.most > len(self.block):
            self.block = self.block.new_empty(self.most)
        self.frames += 1
        try:
            yield
        finally:
            self.frames -= 1
            self.used = start

    @staticmethod
    def serves(shape: Sequence[int], like: Tensor) -> bool:
        """Whether a piece helps: not if small, on an accelerator, or under autocast, where no output can be given."""
        return prod(shape) >= LARGE and like.device.type == "cpu" and not torch.is_autocast_enabled("cpu")

    def take(self, shape: Sequence[int], like: Tensor) -> Tensor | None:
        """A tensor of any content for an operation to write to, or None where the operation had better allocate it.

        Args:
            shape: of the tensor.
            like: has its dtype and device.

        Raises:
            RuntimeError: outside a frame, where nothing would give the piece back.
        """
        if not self.frames:
            raise RuntimeError("an arena's pieces are taken within a frame")
        if not self.serves(shape, like):
            return None
        if self.block.dtype != like.dtype or self.block.is_inference() != torch.is_inference_mode_enabled():
            self.block = self.block.new_empty(0, dtype=like.dtype)
        count = prod(shape)
        start, self.used = self.used, self.used + -(-count // ALIGNMENT) * ALIGNMENT
        self.most = max(self.most, self.used)
        if self.used > len(self.block):
            return like.new_empty(shape)
        return self.block[start : start + count].view(shape)
