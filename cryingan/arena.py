"""Memory that a CPU's training step keeps from one step to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor

LARGE = 2**18  # numbers; the C library keeps pieces that are smaller
ALIGNMENT = 16  # numbers; a piece begins with a cache line


class Arena:
    """Hands out pieces of one block, in which the same step finds the same pieces again.

    The C library gives large pieces back to the kernel when they are freed, and every page that comes anew is a fault
    and a page of zeros: a tenth of a step. On accelerators PyTorch keeps memory by itself. The first step's pieces are
    ordinary tensors; it shows how large the block has to be.
    """

    def __init__(self) -> None:
        self.block = torch.empty(0)
        self.used = self.most = 0

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Whatever is taken within is free again at the end; the outermost frame is a step."""
        start = self.used
        if start == 0 and self.most > len(self.block):
            self.block = self.block.new_empty(self.most)
        try:
            yield
        finally:
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
        """
        if not self.serves(shape, like):
            return None
        if self.block.dtype != like.dtype:
            self.block = self.block.new_empty(0, dtype=like.dtype)
        count = prod(shape)
        start, self.used = self.used, self.used + -(-count // ALIGNMENT) * ALIGNMENT
        self.most = max(self.most, self.used)
        if self.used > len(self.block):
            return like.new_empty(shape)
        return self.block[start : start + count].view(shape)
