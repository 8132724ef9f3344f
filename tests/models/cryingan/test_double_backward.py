"""Losses by automatic differentiation against those in closed form, and against differences."""

import pytest
import torch

from cryingan.models.cryingan import critic, double_backward
from cryingan.models.cryingan.networks import Discriminator

CLOSE = {"rtol": 0, "atol": 1e-12}


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("pooling", ["avg", "mix"])
def test_equals_the_closed_form(pooling):
    """Of the same discriminator: values, and gradients by its parameters and, for the generator, by the features."""
    network = Discriminator(3, (2, 3), pooling, widths=(9, 8, 7), head=(11, 5)).double()
    real, fake, mix = normal(4, 5, 3, seed=0), normal(4, 5, 3, seed=1), torch.rand(4, dtype=torch.float64)
    results = []
    for way in (double_backward, critic):
        network.zero_grad()
        terms = way.critic_terms(network, real, fake, mix, 2.5)
        terms.loss.backward()
        assert not any(value.requires_grad for value in terms[1:])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
        network.zero_grad()
        features = fake.clone().requires_grad_()
        score = way.mean_score(network, features)
        score.backward()
        assert not any(p.grad is not None and p.grad.any() for p in network.parameters())
        results.append([*terms, score, features.grad, *gradients])
    for ours, closed in zip(*results, strict=True):
        torch.testing.assert_close(ours, closed, **CLOSE)


def test_gradient_by_differences():
    """Of a discriminator that bends: two outputs, each a power of what its weight makes of the features."""

    class Bent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(normal(6, 2, seed=3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(1) @ self.weight).tanh() ** 2

    network = Bent()
    real, fake, mix = normal(4, 2, 3, seed=0), normal(4, 2, 3, seed=1), torch.rand(4, dtype=torch.float64)

    def loss(weight: torch.Tensor) -> torch.Tensor:
        network.weight.data = weight.data
        return double_backward.critic_terms(network, real, fake, mix, 10.0).loss

    loss(network.weight).backward()
    found, step, start = network.weight.grad.clone(), 1e-6, network.weight.detach().clone()
    for place in range(start.numel()):
        moved = torch.zeros_like(start).flatten().index_fill(0, torch.tensor(place), step).view_as(start)
        difference = (loss(start + moved) - loss(start - moved)) / (2 * step)
        torch.testing.assert_close(found.flatten()[place], difference.detach(), rtol=1e-6, atol=1e-7)
