from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.reference_cycle import Layout, ReferenceDiscriminator, penalty
from cryingan.models.cryingan.critic import score_difference
from cryingan.models.cryingan.networks import Discriminator
from tests.support.losses import gradient_penalty

FLOAT64 = 1e-12


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def half_square(x: Tensor) -> Tensor:
    """Two outputs that add up to |x|^2 / 2, whose gradient is x."""
    total = 0.5 * x.flatten(1).square().sum(1, keepdim=True)
    return torch.cat([0.3 * total, 0.7 * total], dim=1)


def test_score_difference_is_positive_where_real_scores_higher() -> None:
    real, fake = torch.tensor([[3.0, 5.0], [1.0, 3.0]]), torch.tensor([[1.0, 2.0]])
    assert score_difference(real, fake) == 1.5
    assert score_difference(fake.expand(2, 2), real[:1]) == -2.5


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_penalty_of_a_linear_critic(alpha: float) -> None:
    """10 (|sum of the outputs' weights| - 1)^2, wherever the gradient is taken."""
    weights = normal(10, 4, 3)
    found = gradient_penalty(
        lambda x: x.flatten(1) @ weights.flatten(1).T, normal(5, 4, 3), normal(5, 4, 3, seed=1), torch.full((5,), alpha)
    )
    torch.testing.assert_close(found, 10 * (weights.sum(0).norm() - 1) ** 2, rtol=FLOAT64, atol=0)


def test_penalty_is_taken_at_each_structures_own_point() -> None:
    real, fake, alpha = normal(3, 4, 3), normal(3, 4, 3, seed=1), torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64)
    points = torch.stack([fake[0], real[1], 0.25 * real[2] + 0.75 * fake[2]])
    expected = 2.5 * (points.flatten(1).norm(dim=1) - 1).square().mean()
    found = gradient_penalty(half_square, real, fake, alpha, weight=2.5)
    torch.testing.assert_close(found, expected, rtol=FLOAT64, atol=0)


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
def test_penalty_reaches_the_parameters_as_in_the_reference_and_nothing_else(pooling: str) -> None:
    ours = Discriminator(3, (2, 3), pooling, widths=(9, 8, 7), head=(11, 5)).double()
    reference = ReferenceDiscriminator(3, [2, 3], pooling, (9, 8, 7), (11, 5), 10).double()
    layout = Layout(1, 2)
    reference.load_state_dict(layout.to_reference(ours.state_dict()))
    real, fake = normal(4, 5, 3), normal(4, 5, 3, seed=1).requires_grad_()
    alpha = torch.rand(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found, expected = gradient_penalty(ours, real, fake, alpha), penalty(reference, real, fake, alpha)
    torch.testing.assert_close(found, expected, rtol=FLOAT64, atol=0)
    found.backward()
    assert fake.grad is None
    expected.backward()
    gradients = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    for name, gradient in layout.to_library(gradients).items():
        mine = ours.get_parameter(name).grad
        torch.testing.assert_close(torch.zeros_like(gradient) if mine is None else mine, gradient, rtol=0, atol=FLOAT64)


def test_penalty_of_a_flat_critic_has_a_finite_gradient() -> None:
    critic = Discriminator(3, (2, 2), widths=(4, 4, 4), head=(4, 4))
    for parameter in critic.parameters():
        torch.nn.init.zeros_(parameter)
    found = gradient_penalty(critic, torch.rand(2, 4, 3), torch.rand(2, 4, 3), torch.rand(2))
    assert found == 10
    found.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in critic.parameters())
