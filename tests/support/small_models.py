"""Small models of every kind, and checkpoints of them."""

from pathlib import Path

import numpy as np
import torch

from cryingan.models.base import GenerativeModel
from cryingan.models.registry import model_class
from cryingan.structures.crystals import Crystals

CELL = [[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.0, 0.5, 8.0]]
SPECIES = ["Li", "Cl", "Li", "O"]
NETWORK = {"hidden": 8, "layers": 1, "frequencies": 2, "steps": 5}
UNET = {"width": 8, "multiples": [1], "blocks": [1], "attention": [True], "heads": 1, "head_width": 4, "steps": 5}
GENERATOR = {"latent_dim": 4, "channels": 4, "generator_widths": [4], "head_widths": [4], "n_neighbors": 3}
AUTOENCODER = {
    "encoder_hidden": 4,
    "encoder_blocks": 1,
    "latent": 4,
    "hidden": 8,
    "triplets": 4,
    "basis": 4,
    "gaussians": 6,
    "blocks": 1,
    "neighbors": 4,
    "noise_levels": 4,
    "steps_per_level": 1,
}
SMALL = {
    "cryingan": {**GENERATOR, "discriminator_widths": [4]},
    "comb": {**GENERATOR, "discriminator_widths": [4]},
    "cgcnn": {**GENERATOR, "features": 4, "convolutions": 1, "gaussians": 5},
    "linear": {"components": 3},
    "diffcsp": NETWORK,
    "flow": NETWORK,
    "cdvae": AUTOENCODER,
    "unimat": {**UNET, "table": 2, "elements": "read"},
    "crystens": {**UNET, "small_size": 8, "second_blocks": [1], "second_attention": [False]},
}
"""Settings with which a model takes no time."""


GAN = ("model.latent_dim=4", "model.channels=4", "model.generator_widths=[4]", "model.head_widths=[4]")
U_NET = (
    *("model.width=8", "model.multiples=[1]", "model.blocks=[1]", "model.attention=[true]"),
    *("model.heads=1", "model.head_width=4", "model.steps=5"),
)
OVERRIDES = {
    "comb": ("model=comb", *GAN, "model.discriminator_widths=[4]", "model.n_neighbors=3"),
    "cgcnn": ("model=cgcnn", *GAN, "model.features=4", "model.convolutions=1", "model.n_neighbors=3"),
    "linear": ("model=linear", "model.components=3"),
    "diffcsp": ("model=diffcsp", "model.hidden=8", "model.layers=1", "model.frequencies=2", "model.steps=5"),
    "flow": ("model=flow", "model.hidden=8", "model.layers=1", "model.frequencies=2", "model.steps=5"),
    "cdvae": ("model=cdvae", *(f"model.{key}={value}" for key, value in AUTOENCODER.items())),
    "unimat": ("model=unimat", *U_NET, "model.table=2", "model.elements=read"),
    "crystens": (
        *("model=crystens", *U_NET),
        *("model.small_size=8", "model.second_blocks=[1]", "model.second_attention=[false]"),
    ),
}
"""Command lines of such models."""


def small_model(kind: str, **changes: object) -> GenerativeModel:
    """An untrained model of four atoms; the linear one is fitted to places that scatter about a structure."""
    model = model_class(kind)(CELL, SPECIES, **{**SMALL[kind], **changes})
    if kind == "linear":
        random = np.random.default_rng(0)
        scattered = random.random((1, 4, 3)) + random.normal(scale=0.02, size=(10, 4, 3))
        model.components.fit(Crystals(scattered, CELL, model.grouped_species), model.hparams.components)
    return model


def checkpoint_of(model: GenerativeModel, path: Path) -> Path:
    """Write what a trainer would write of a model."""
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return path
