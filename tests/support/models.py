"""Small models and what trains them in a test."""

from __future__ import annotations

import lightning
import numpy as np
import torch

from cryingan.geometry.distances import neighbor_distances
from cryingan.structures.crystals import Crystals
from data.loader import TensorLoader

CELL = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.5, -0.8, 8.0]])
SPECIES = ("Li", "O", "Li", "Cl", "O", "O", "Li", "Cl", "Li", "O")
WIDTHS = {"latent_dim": 5, "channels": 4, "generator_widths": [7, 8, 6], "discriminator_widths": [9, 8, 7]}
SIZES = {**WIDTHS, "head_widths": [12, 11], "n_neighbors": 4}


def quiet_trainer(**settings) -> lightning.Trainer:
    """One epoch on the CPU, without files and messages."""
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(accelerator="cpu", max_epochs=1, **off, **settings)


def batches_of(crystals: Crystals, k: int, size: int) -> TensorLoader:
    """Structures, grouped by species, and the distances to their k nearest neighbours, in order."""
    grouped = crystals.reordered(crystals.grouping)
    fractional = torch.tensor(grouped.fractional)
    features = [fractional, neighbor_distances(fractional, torch.tensor(grouped.cell), k)] if k else [fractional]
    return TensorLoader(torch.cat(features, -1), size, seed=0, shuffle=False)
