"""Random numbers as a function of (seed, purpose, step).

Nothing in a run draws from a global generator. A resumed run therefore repeats the uninterrupted one bit for bit, and a
callback that samples cannot disturb training.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, *step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator for one purpose at one step.

    Args:
        seed: seed of the run; 0 is a seed like any other.
        purpose: what the numbers are for, such as "critic noise".
        step: integers that identify the draw, such as epoch, batch and rank.
        device: where the numbers are drawn; CPUs and GPUs give different numbers.
    """
    digest = hashlib.blake2b(repr((int(seed), purpose, *map(int, step))).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little"))
