"""The sampler with scores that are known exactly."""

import math

import pytest
import torch

from cryingan.models.diffcsp.sampler import denoised, noise_levels, visited_levels
from cryingan.models.diffcsp.wrapped_normal import score

SMALLEST, STEP_SIZE = 0.005, 1e-5


def run(exact_score, largest, steps, smallest=(SMALLEST,), step_size=STEP_SIZE, atoms=1000):
    random = torch.Generator().manual_seed(0)
    sigmas = noise_levels(smallest, largest)
    shape = (1, atoms, 3)

    def draw():
        return torch.randn(shape, generator=random, dtype=torch.float64)

    def at_level(fractional, level):
        return exact_score(fractional, sigmas[level])

    start = torch.rand(shape, generator=random, dtype=torch.float64)
    return denoised(start, at_level, sigmas, visited_levels(1000, steps), step_size, draw)


@pytest.mark.parametrize("smallest", [[0.005], [0.002], [0.005, 0.005, 0.0011]])
@pytest.mark.parametrize(("steps", "largest"), [(1000, [0.5]), (100, [0.5]), (50, [0.5, 0.4, 0.3])])
def test_sites_are_reached_with_the_scatter_they_have(steps, largest, smallest):
    width, site = 0.02, torch.tensor([0.0, 0.37, 0.98], dtype=torch.float64)
    found = run(lambda x, sigma: score(x - site, (sigma**2 + width**2).sqrt()), largest, steps, smallest)
    apart = found - site
    apart = apart - apart.round()
    assert apart.mean(dim=(0, 1)).tolist() == pytest.approx([0, 0, 0], abs=2e-3)
    assert apart.std().item() == pytest.approx(width, rel=0.04)


@pytest.mark.parametrize("smallest", [[0.005], [0.002], [0.005, 0.005, 0.0011]])
def test_the_network_is_asked_at_the_noise_that_it_learned(smallest):
    """At all levels the places of a perfect crystal scatter by that of the level, or little more."""
    site, ratios = torch.tensor([0.0, 0.37, 0.98], dtype=torch.float64), []

    def of_one_site(x, sigma):
        apart = (x - site) - (x - site).round()
        ratios.append((apart / sigma).square().mean(dim=(0, 1)).sqrt())
        return score(x - site, sigma)

    run(of_one_site, [0.2, 0.2, 0.045], 100, smallest)
    assert torch.stack(ratios)[20:].max() < 1.5  # the first ones see uniform places


@pytest.mark.parametrize("steps", [100, 7])
def test_without_a_score_uniform_places_stay_uniform(steps):
    found = run(lambda x, sigma: torch.zeros_like(x), [0.1], steps)
    for order in (1, 2):
        waves = torch.polar(torch.ones_like(found), 2 * math.pi * order * found).mean(dim=(0, 1)).abs()
        assert waves.max() < 0.1  # three standard deviations of the mean of 1,000 random phases
    assert ((found >= 0) & (found < 1)).all()


def test_levels():
    sigmas = noise_levels([0.005], [0.1])
    assert sigmas.shape == (1001, 3)
    assert sigmas[[0, 1, 1000], 0].tolist() == pytest.approx([0, 0.005, 0.1])
    assert (sigmas[2:, 0] / sigmas[1:-1, 0]).std() < 1e-12
    own = noise_levels([0.005, 0.005, 0.001], [0.2, 0.2, 0.05])
    assert own[-1].tolist() == pytest.approx([0.2, 0.2, 0.05])


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 999, 1000, 5000])
def test_visited_levels(steps):
    visited = visited_levels(1000, steps)
    assert visited[-1] == 0
    assert len(visited) == min(steps, 1000) + 1
    assert visited == sorted(visited, reverse=True)
    assert visited[0] == 1000
    assert len(set(visited)) == len(visited)
