"""Batches of a data set held in memory as one tensor, with a position that checkpoints save."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cryingan.randomness import generator


class TensorLoader:
    """Slices a tensor into batches; the shuffled order is a function of (seed, epoch).

    Lightning calls `set_epoch` and saves the position with `state_dict`, so a run that stopped within an epoch resumes
    with the next batch.

    Args:
        tensor: the whole set, shape (structures, ...), on the device of the batches.
        batch_size: structures per batch; the last batch of an epoch may be smaller.
        seed: seed of the order.
        shuffle: a new permutation every epoch; otherwise the order of the tensor.
        rank: this process among `world_size`. All processes get the same number of structures; where division leaves
            a remainder, the first structures of the permutation occur twice.
        world_size: number of processes that train together.
        translations: gives, for an epoch, what is added to the fractional coordinates of every structure, the first
            three columns, shape (structures, 1, 3); they are wrapped into [0, 1).
    """

    def __init__(
        self,
        tensor: Tensor,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        translations: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.tensor = tensor
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.translations = translations
        self.epoch = 0
        self.position = 0
        self.resume_at = 0
        self.sampler, self.batch_sampler = self, None  # where Lightning looks for set_epoch

    def __len__(self) -> int:
        return -(-self._share // self.batch_size)

    @property
    def _share(self) -> int:
        return -(-len(self.tensor) // self.world_size)

    def order(self) -> Tensor:
        """Indices of this process's structures in this epoch, shape (structures of this process,)."""
        n = len(self.tensor)
        if not self.shuffle:
            indices = torch.arange(n)
        else:
            indices = torch.randperm(n, generator=generator(self.seed, "batch order", self.epoch))
        return indices[torch.arange(self._share * self.world_size) % n][self.rank :: self.world_size]

    def __iter__(self) -> Iterator[Tensor]:
        order = self.order().to(self.tensor.device)
        moves = None if self.translations is None else self.translations(self.epoch).to(self.tensor)
        self.position, self.resume_at = self.resume_at, 0
        while self.position < len(self):
            start = self.position * self.batch_size
            self.position += 1
            chosen = order[start : start + self.batch_size]
            batch = self.tensor[chosen]
            if moves is not None:
                batch[..., :3] = (batch[..., :3] + moves[chosen]) % 1.0
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Choose the permutation of the next pass; an interrupted pass resumes in its own epoch only."""
        if epoch != self.epoch:
            self.epoch, self.resume_at = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """The epoch and the number of its batches that were yielded."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume after the last batch that was yielded."""
        self.epoch = state["epoch"]
        self.resume_at = self.position = state["position"] % len(self)
