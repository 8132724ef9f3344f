"""Samples that are moved uphill in the score of discriminators, until these take them for real structures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 0.0228  # Angstrom, root mean square over the atoms of a structure
LEAST = 1e-12  # slope per Angstrom; a flatter one, or one that is not finite, moves nothing


def refined(
    fractional: Tensor, cell: Tensor, rated: Callable[[Tensor], Tensor], target: float, most_steps: int
) -> Tensor:
    """Structures that steps of steepest ascent have taken to a score, each by as many as it needs.

    The slope of the discriminators of a Wasserstein GAN tells along which way a generated structure becomes a real one
    (discriminator gradient flow of Ansari, Ang, Soh, ICLR 2021, here without noise and with an end).

    Args:
        fractional: coordinates, shape (structures, atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        rated: scores (structures,) of structures (structures, atoms, 3), differentiable.
        target: structures with this score or a higher one stay where they are.
        most_steps: after so many, each of 0.0228 Angstrom in root mean square, a structure stays.

    Returns:
        Fractional coordinates, from 0 to 1 of those that have moved, as they were of the others.
    """
    inverse, n_atoms = torch.linalg.inv(cell).to(fractional), fractional.shape[-2]
    with torch.inference_mode(False), torch.enable_grad():
        found = fractional.clone()
        moving = torch.arange(len(found), device=found.device)
        for _ in range(most_steps):
            places = found[moving].requires_grad_()
            scores = rated(places)
            low = (scores < target).nonzero().squeeze(-1)
            if not len(low):
                break
            (slope,) = torch.autograd.grad(scores[low].sum(), places)
            moving = moving[low]
            uphill = slope[low] @ inverse.mT  # per Angstrom
            lengths = torch.linalg.vector_norm(uphill, dim=(1, 2), keepdim=True)
            directions = (uphill / lengths).where(lengths.isfinite() & (lengths > LEAST), 0.0)
            found[moving] = (places.detach()[low] + STEP * n_atoms**0.5 * directions @ inverse) % 1.0
    return found
