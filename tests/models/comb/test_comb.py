"""CryinGAN-comb against a plain transcription, with convolutions and distances by brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cryingan.models.comb.comb import Comb
from cryingan.models.comb.network import CombDiscriminator
from tests.conftest import random_crystals
from tests.support.models import CELL, SPECIES, batches_of, quiet_trainer

SIZES = {"latent_dim": 5, "channels": 4, "generator_widths": [7, 6], "discriminator_widths": [9, 8, 7]}
SMALL = {**SIZES, "head_widths": [12, 11], "n_neighbors": 4}
COUNTS = (4, 4, 2)


def structures(count: int) -> Tensor:
    """Fractional coordinates (count, 10, 3), grouped by species."""
    crystals = random_crystals(count, SPECIES, CELL)
    return torch.tensor(crystals.reordered(crystals.grouping).fractional)


def distances_of_fractions(fractional: np.ndarray, k: int) -> np.ndarray:
    """Distances to the k nearest of all images in the 27 cells around, in a cube of edge 1: (atoms, k)."""
    images = np.concatenate([fractional + shift for shift in product((-1, 0, 1), repeat=3)])
    apart = np.linalg.norm(fractional[:, None] - images, axis=-1)
    return np.sort(apart, axis=1)[:, 1 : k + 1]


def convolutional(network: CombDiscriminator, x: Tensor) -> Tensor:
    """The outputs as a user of convolutions would write them: (structures, atoms, 3 + k) to (structures, outputs)."""
    joined = []
    for branch, part in zip(network.branches, x.split(network.features, dim=-1), strict=True):
        image = part[:, None]  # one channel, atoms x features
        for layer in branch:
            if isinstance(layer, nn.Linear):
                kernel = layer.weight[:, None, None] if image.shape[1] == 1 else layer.weight[:, :, None, None]
                image = nn.functional.conv2d(image, kernel, layer.bias)
            else:
                image = nn.functional.leaky_relu(image, 0.2)
        pools = {"avg": [nn.functional.avg_pool2d], "max": [nn.functional.max_pool2d]}
        pools["mix"] = pools["max"] + pools["avg"]
        for species in image.split(network.counts, dim=2):
            joined += [pool(species, (species.shape[2], 1)).flatten(1) for pool in pools[network.pooling.value]]
    out = torch.cat(joined, dim=1)
    for layer in network.per_structure:
        out = nn.functional.leaky_relu(out, 0.2) if isinstance(layer, nn.LeakyReLU) else layer(out)
    return out


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
def test_a_score_equals_the_convolutional_transcription(pooling):
    model = Comb(CELL.tolist(), list(SPECIES), pooling=pooling, **SMALL).double()
    fractional = structures(3)
    seen = model.seen(fractional)
    distances = np.stack([distances_of_fractions(one, 4) for one in fractional.numpy()])
    np.testing.assert_allclose(seen[..., :3], fractional)
    np.testing.assert_allclose(seen[..., 3:], distances, atol=1e-12)
    network = model.discriminators["discriminator"]
    torch.testing.assert_close(network(seen), convolutional(network, seen), rtol=0, atol=1e-12)


def test_atoms_of_one_species_are_interchangeable():
    model = Comb(CELL.tolist(), list(SPECIES), **SMALL).double()
    network, fractional = model.discriminators["discriminator"], structures(3)
    scores = network(model.seen(fractional))
    within = fractional[:, [2, 0, 1, 3, 7, 4, 5, 6, 9, 8]]
    torch.testing.assert_close(network(model.seen(within)), scores, rtol=0, atol=1e-12)
    assert (network(model.seen(fractional[:, [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]])) - scores).abs().max() > 1e-6


@pytest.mark.parametrize(("pooling", "factor"), [("avg", 1), ("max", 1), ("mix", 2)])
def test_parameters_with_the_papers_sizes(pooling, factor):
    """Both branches as the discriminators of CryinGAN have them, and one head after them."""
    sizes = {"widths": (512, 512, 256), "head": (1000, 200), "outputs": 10}
    network = CombDiscriminator((3, 6), [52, 53, 53, 53, 53], pooling, **sizes)
    branches = 4 * 512 + 7 * 512 + 2 * (513 * 512 + 513 * 256)
    head = (2 * factor * 256 * 5 + 1) * 1000 + 1001 * 200 + 201 * 10
    assert sum(parameter.numel() for parameter in network.parameters()) == branches + head


def test_a_few_steps_raise_the_score_of_real_structures():
    model = Comb(
        CELL.tolist(),
        list(SPECIES),
        **SMALL,
        discriminator_learning_rate=1e-2,
        penalty_weight=0.1,
        generator_interval=99,
    )
    logged = []
    model.log_epoch = logged.append
    batches = batches_of(random_crystals(40, SPECIES, CELL), 0, 4)
    batches.tensor = batches.tensor.float()
    trainer = quiet_trainer()
    trainer.fit_loop.max_epochs = 4
    trainer.fit(model, batches)
    assert logged[-1]["train/score_difference"] > max(0.05, logged[0]["train/score_difference"])
    assert {"train/real_discriminator", "train/penalty_discriminator"} <= logged[0].keys()
