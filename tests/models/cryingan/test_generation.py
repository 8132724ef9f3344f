"""Generation without a gradient against the generator itself."""

from __future__ import annotations

import copy

import pytest
import torch

from cryingan.models.cryingan import arena, generation
from cryingan.models.cryingan.arena import Arena
from cryingan.models.cryingan.generation import generate
from cryingan.models.cryingan.networks import Generator
from cryingan.training.replicas import stacked


@pytest.fixture(autouse=True)
def small_pieces_too(monkeypatch):
    monkeypatch.setattr(arena, "LARGE", 1)


@pytest.mark.parametrize("rows", [1, 7, 1024])
@pytest.mark.parametrize("copies", [1, 2])
def test_generation_without_a_gradient_is_the_generators_and_updates_its_statistics(rows, copies, monkeypatch):
    monkeypatch.setattr(generation, "ROWS_AT_ONCE", rows)
    networks = [Generator(8, latent_dim=7, channels=6, widths=(5, 9, 4)).double() for _ in range(copies)]
    for number, value in enumerate(v for network in networks for v in network.state_dict().values()):
        if value.is_floating_point():
            value.uniform_(0.2, 1.0, generator=torch.Generator().manual_seed(number))
    network = networks[0] if copies == 1 else stacked(networks)
    reference, kept = copy.deepcopy(network), Arena()
    for seed in range(3):
        shape = (5, 7) if copies == 1 else (copies, 5, 7)
        noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        made = generate(network, noise, kept)
        assert not made.requires_grad
        torch.testing.assert_close(made, reference(noise).detach(), rtol=0, atol=1e-14)
        torch.testing.assert_close(dict(network.named_buffers()), dict(reference.named_buffers()), rtol=0, atol=1e-14)
    assert (len(kept.block) > 0) == (copies == 1)


def test_generation_in_evaluation_mode_leaves_the_statistics():
    network = Generator(8, latent_dim=7, channels=6, widths=(5, 9, 4)).eval()
    before = copy.deepcopy(network.state_dict())
    noise = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(generate(network, noise, Arena()), network(noise).detach(), rtol=0, atol=0)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
