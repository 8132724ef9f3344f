"""A structure that a diffusion model of images learns in a test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cryingan.models.unet.image_model import ImageModel

STRUCTURE = torch.tensor([[[0.1, 0.2, 0.3], [0.6, 0.7, 0.1], [0.3, 0.5, 0.8], [0.9, 0.4, 0.6]]])


def trained(net: ImageModel, structure: Tensor, steps: int, rate: float, structures: int = 16) -> float:
    """Train on one structure, repeated, at a falling rate; return the mean loss of the last fifth of the steps."""
    optimizer = torch.optim.Adam(net.network.parameters(), lr=rate)
    source, losses = torch.Generator().manual_seed(0), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        shares = torch.rand(structures, generator=source)
        loss = net.losses(structure.expand(structures, -1, -1), shares, source)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.mean(losses[-steps // 5 :])
