"""Radial and angular functions against SciPy and what defines them."""

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, spherical_jn

from cryingan.models.cdvae.bases import Bessel, Gaussians, envelope, legendre, spherical_bessel


def double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def test_angular_functions_are_spherical_harmonics_of_order_0():
    cosines = np.linspace(-1, 1, 21)
    for order, found in enumerate(legendre(torch.from_numpy(cosines))):
        expected = np.sqrt((2 * order + 1) / (4 * np.pi)) * eval_legendre(order, cosines)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    assert order == 6


@pytest.mark.parametrize("order", range(7))
def test_spherical_bessel_functions(order):
    """The k-th has its k-th zero at the radius; the norm on the unit ball is 1."""
    radius, d = 4.0, np.linspace(0.1, 1, 1801)
    grid = np.linspace(0.05, 40, 40_000)
    signs = np.sign(spherical_jn(order, grid))
    zeros = grid[:-1][np.diff(signs) != 0][:6]
    found = spherical_bessel(torch.from_numpy(radius * d), radius)[:-1, order].numpy()
    plain = found / envelope(torch.from_numpy(d[:-1])).numpy()[:, None]
    places = np.linspace(0, 1, 4001)
    for number, zero in enumerate(zeros):
        norm = (places**2 * spherical_jn(order, zero * places) ** 2).mean() ** -0.5
        np.testing.assert_allclose(plain[:, number], norm * spherical_jn(order, zero * d[:-1]), atol=0.02)
    single = spherical_bessel(torch.tensor(radius * d[:-1], dtype=torch.float32), radius)[:, order]
    np.testing.assert_allclose(single, found, atol=1e-5 * np.abs(found).max())


def test_envelopes_end_smoothly():
    edge = torch.tensor([1 - 1e-3], dtype=torch.float64)
    assert abs(envelope(edge).item()) < 1e-6  # of third order
    assert envelope(double(1.0, 1.7)).tolist() == [0, 0]
    assert envelope(double(0.1)).item() == pytest.approx(10, rel=1e-4)
    assert Gaussians(5, 7.0)(torch.tensor([7.0, 6.993])).abs().max() < 1e-6


def test_gaussians_and_waves():
    found = Gaussians(5, 8.0).double()(double(2.0, 3.0))
    inside = 1 - 21 * 0.25**5 + 35 * 0.25**6 - 15 * 0.25**7
    assert found[0].tolist() == pytest.approx([inside * np.exp(-((k - 1) ** 2) / 2) for k in range(5)])
    waves = Bessel(8.0).double()(double(2.0))
    assert waves[0].tolist() == pytest.approx(
        [envelope(double(0.25)).item() * np.sin(np.pi * k / 4) for k in range(1, 7)], abs=1e-5
    )


def test_the_encoder_does_not_divide_by_nothing():
    assert Bessel(4.0)(torch.tensor([0.0])).equal(Bessel(4.0)(torch.tensor([0.4])))
    assert spherical_bessel(torch.tensor([0.0]), 4.0).isfinite().all()
