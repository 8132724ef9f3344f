"""The score of the wrapped normal against its Fourier series, differences of its density and known values."""

import numpy as np
import pytest
import torch

from cryingan.models.diffcsp.wrapped_normal import mean_squared_score, score


def by_fourier_series(difference, sigma):
    k = np.arange(1, 400)
    amplitudes = 2 * np.exp(-2 * np.pi**2 * sigma**2 * k**2)
    angles = 2 * np.pi * k * np.asarray(difference)[:, None]
    density = 1 + (amplitudes * np.cos(angles)).sum(axis=1)
    return (amplitudes * 2 * np.pi * k * np.sin(angles)).sum(axis=1) / density


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.1, 1e-9), (0.2, 1e-12), (0.5, 1e-12)])
def test_fourier_series(sigma, tolerance):
    places = np.linspace(-0.49, 0.49, 99)
    found = score(torch.from_numpy(places), sigma).numpy()
    assert found == pytest.approx(by_fourier_series(places, sigma), rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(
    ("sigma", "place", "value"),
    [
        (0.1, 0.05, 5),
        (0.1, 0.25, 25),
        (0.1, 0.4, 39.9955),
        (0.1, 0.49, 22.1059),
        (0.2, 0.1, 2.49887),
        (0.2, 0.4, 8.10355),
        (0.5, 0.25, 0.0903759),
    ],
)
@pytest.mark.parametrize("period", [0, 1, -3])
def test_known_values(sigma, place, value, period):
    assert score(torch.tensor(place + period, dtype=torch.float64), sigma).item() == pytest.approx(value, rel=2e-6)


def test_single_precision_keeps_far_places_at_small_noise():
    """The plain quotient is 0 / 0 beyond 0.07 at sigma 0.005."""
    places = torch.linspace(-0.49, 0.49, 99)
    assert score(places, 0.005).numpy() == pytest.approx(places.numpy() / 0.005**2, rel=1e-5)


def test_levels_of_their_own_on_each_axis():
    sigma = torch.tensor([0.05, 0.1, 0.3])
    found = score(torch.full((2, 4, 3), 0.1), sigma)
    expected = [score(torch.tensor(0.1), float(level)).item() for level in sigma]
    assert found[1, 2].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.1, 0.3, 0.5])
def test_mean_square_against_draws(sigma):
    random = torch.Generator().manual_seed(0)
    noise = sigma * torch.randn(200_000, generator=random, dtype=torch.float64)
    found = mean_squared_score(torch.tensor(sigma)).item()
    assert found == pytest.approx(score(noise, sigma).square().mean().item(), rel=0.02)


def test_mean_square_at_its_ends():
    narrow = torch.tensor([0.0005, 0.0199, 0.0201])
    assert (mean_squared_score(narrow) * narrow.double() ** 2).tolist() == pytest.approx([1, 1, 1], abs=1e-12)
    small, large = mean_squared_score(torch.tensor([0.05, 0.5])).tolist()
    assert small * 0.05**2 == pytest.approx(1, abs=5e-5)
    assert large == pytest.approx(0.0040841, rel=1e-4)
