"""Samples that are moved uphill in the score of a discriminator, until it takes them for real structures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEP = 0.2  # Angstrom: root of the sum of the squared displacements of all atoms


def refined(
    fractional: Tensor, cell: Tensor, rated: Callable[[Tensor], Tensor], target: float, most_steps: int
) -> Tensor:
    """Structures that steps of steepest ascent have taken to a score, each by as many as it needs.

    The slope of the discriminator of a Wasserstein GAN tells along which way a generated structure becomes a real one
    (discriminator gradient flow of Ansari, Ang, Soh, ICLR 2021, here without noise and with an end).

    Args:
        fractional: coordinates, shape (structures, atoms, 3).
        cell: lattice vectors in rows, Angstrom, shape (3, 3).
        rated: scores (structures,) of structures (structures, atoms, 3), differentiable.
        target: structures with this score or a higher one stay where they are.
        most_steps: after so many steps of 0.2 Angstrom a structure stays, whatever its score is.

    Returns:
        Fractional coordinates in [0, 1) of those that have moved, as they were of the others.
    """
    inverse = torch.linalg.inv(cell).to(fractional)
    with torch.inference_mode(False), torch.enable_grad():
        found = fractional.clone()
        moving = torch.arange(len(found), device=found.device)
        for _ in range(most_steps):
            places = found[moving].requires_grad_()
            scores = rated(places)
            (slope,) = torch.autograd.grad(scores.sum(), places)
            low = (scores < target).nonzero().squeeze(-1)
            if not len(low):
                break
            moving = moving[low]
            uphill = slope[low] @ inverse.mT  # per Angstrom
            lengths = torch.linalg.vector_norm(uphill, dim=(1, 2), keepdim=True)
            step = STEP * uphill / lengths.clamp_min(torch.finfo(uphill.dtype).tiny)
            found[moving] = (places.detach()[low] + step @ inverse) % 1.0
    return found
