"""Annealed Langevin dynamics with scores that are known exactly."""

import math

import pytest
import torch

from cryingan.geometry.displacements import nearest_image
from cryingan.models.cdvae.sampler import annealed, noise_levels

CELL = torch.tensor([[6.0, 0.0, 0.0], [2.0, 7.0, 0.0], [0.0, 0.5, 8.0]], dtype=torch.float64)
SITE = torch.tensor([0.0, 0.37, 0.98], dtype=torch.float64)


def run(score, steps_per_level=2, step_size=1e-4, denoise=False, atoms=1000):
    """Where atoms end, fractional, and where from the site, Angstrom."""
    random, shape = torch.Generator().manual_seed(0), (1, atoms, 3)
    start = torch.rand(shape, generator=random, dtype=torch.float64)
    sigmas = noise_levels(10.0, 0.01, 50)
    found = annealed(
        start,
        CELL,
        lambda x, level: score(x, float(sigmas[level])),
        sigmas,
        steps_per_level,
        step_size,
        denoise,
        lambda: torch.randn(shape, generator=random, dtype=torch.float64),
    )
    return found, nearest_image(found - SITE, CELL)


def towards_site(fractional, sigma):
    return nearest_image(SITE - fractional, CELL) / sigma


def test_full_steps_end_with_their_own_noise():
    """x' = site + sqrt(2) sigma xi, whatever was before."""
    _, apart = run(towards_site)
    assert apart.std().item() == pytest.approx(math.sqrt(2) * 0.01, rel=0.05)
    assert apart.mean(dim=(0, 1)).abs().max() < 1e-3


def test_half_steps_end_with_less_noise():
    """x' - site = (x - site) / 2 + sigma xi: the variance becomes 4/3 sigma^2."""
    _, apart = run(towards_site, steps_per_level=8, step_size=0.5e-4)
    assert apart.std().item() == pytest.approx(math.sqrt(4 / 3) * 0.01, rel=0.05)


def test_the_last_step_without_noise_lands_on_the_site():
    _, apart = run(towards_site, denoise=True)
    assert apart.abs().max() < 1e-12


def test_without_a_score_uniform_places_stay_uniform():
    found, _ = run(lambda x, sigma: torch.zeros_like(x), steps_per_level=1)
    for order in (1, 2):
        waves = torch.polar(torch.ones_like(found), 2 * math.pi * order * found).mean(dim=(0, 1)).abs()
        assert waves.max() < 0.1  # three standard deviations of the mean of 1,000 random phases
    assert ((found >= 0) & (found < 1)).all()


def test_levels():
    sigmas = noise_levels(10.0, 0.01, 50)
    assert (len(sigmas), sigmas[0].item(), sigmas[-1].item()) == (50, 10.0, pytest.approx(0.01))
    assert (sigmas[1:] / sigmas[:-1]).tolist() == pytest.approx([0.868511] * 49, abs=1e-6)
