"""Every random number of a run is a function of (seed, purpose, step).

Nothing draws from a global generator, so a resumed run repeats the uninterrupted one bit for bit and a callback that
samples cannot disturb training.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, *step: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose at one step.

    Args:
        seed: seed of the run; 0 is a seed like any other.
        purpose: what the numbers are for, such as "critic noise".
        step: any integers that tell this draw from the others, such as epoch, batch and rank.
        device: where the numbers are drawn; they differ between kinds of device.
    """
    digest = hashlib.blake2b(repr((int(seed), purpose, *map(int, step))).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little"))
