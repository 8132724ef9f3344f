"""Noise in continuous time: values of the schedules, the weight of the loss, the way back."""

import math

import numpy as np
import pytest
import torch

from cryingan.models.unet.diffusion import (
    cosine_log_snr,
    denoised,
    linear_log_snr,
    loss_weight,
    noised,
    signal_and_noise,
    thresholded,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_schedule(dtype):
    found = cosine_log_snr(torch.tensor([0.25, 0.5, 0.75], dtype=dtype))
    assert found.dtype == dtype
    assert found.tolist() == pytest.approx([1.71034, -0.0249339, -1.78043], abs=1e-5)
    ends = cosine_log_snr(torch.tensor([0.0, 1.0], dtype=dtype)).tolist()
    assert ends == pytest.approx([-2 * math.log(math.tan(0.004 / 1.008 * math.pi)), -15 * math.log(10)], rel=1e-4)
    times = torch.linspace(0, 1, 501, dtype=dtype)
    assert (cosine_log_snr(times).diff() < 0).all()
    angle = (times[:-1] + 0.008) / 1.008 * math.pi / 2
    torch.testing.assert_close(signal_and_noise(cosine_log_snr(times[:-1]))[0], angle.cos(), rtol=1e-4, atol=1e-6)


def test_linear_schedule_of_the_image_that_is_given():
    signal, noise = signal_and_noise(linear_log_snr(torch.tensor(0.2)))
    assert (signal.item(), noise.item()) == pytest.approx((0.818690, 0.574236), abs=1e-6)
    assert (linear_log_snr(torch.linspace(0, 1, 101)).diff() < 0).all()


@pytest.mark.parametrize("ratio", [-30.0, -1.0, 0.0, 2.0, 9.0])
def test_signal_and_noise_have_unit_variance(ratio):
    signal, noise = signal_and_noise(torch.tensor([ratio], dtype=torch.float64))
    assert (signal**2 + noise**2).item() == pytest.approx(1)
    assert (signal / noise).log().item() == pytest.approx(ratio / 2)
    images, normal = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(noised(images, normal, torch.tensor([ratio]).double()), signal * images + noise * normal)


@pytest.mark.parametrize(("ratio", "weight"), [(0.1, 1.0), (5.0, 1.0), (10.0, 0.5), (5000.0, 0.001)])
def test_weight_falls_where_there_is_little_noise(ratio, weight):
    assert loss_weight(torch.tensor([ratio]).log()).item() == pytest.approx(weight, rel=1e-4)


def test_threshold_is_a_quantile_of_each_structure():
    images = torch.randn(3, 2, 5, 5, dtype=torch.float64) * torch.tensor([0.1, 1.0, 30.0])[:, None, None, None]
    for image, found in zip(images, thresholded(images), strict=True):
        largest = max(1.0, np.quantile(image.abs().numpy(), 0.95))
        np.testing.assert_allclose(found.numpy(), np.clip(image.numpy(), -largest, largest) / largest)
    assert thresholded(images)[0].equal(images[0])


@pytest.mark.parametrize(("steps", "variance"), [(50, 0.91447), (100, 0.95482), (150, 0.96923), (1000, 0.99519)])
def test_variance_of_normal_structures(steps, variance):
    """The best estimate of the noise in them is sigma x; the sampler is then linear in all its random numbers."""
    draws = iter(torch.eye(steps, dtype=torch.float64)[1:])
    coefficients = denoised(
        torch.eye(steps, dtype=torch.float64)[:1],
        lambda images, log_snr: signal_and_noise(log_snr)[1][:, None] * images,
        steps,
        lambda: next(draws)[None],
        corrected=lambda images: images,
    )
    assert next(draws, None) is None, "every step but the last draws noise, once"
    assert coefficients.square().sum().item() == pytest.approx(variance, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 7, 100])
def test_a_known_structure_is_reached(steps):
    """With the noise of one structure the sampler ends there, up to what is left of the noise of the last time."""
    normal = torch.Generator().manual_seed(0)
    structure = torch.rand(1, 6, 3, generator=normal, dtype=torch.float64) * 2 - 1

    def draw():
        return torch.randn(40, 6, 3, generator=normal, dtype=torch.float64)

    def noise_in(images, log_snr):
        signal, noise = signal_and_noise(log_snr)
        return (images - signal * structure) / noise

    found = denoised(draw(), lambda x, at: noise_in(x, at[:, None, None]), steps, draw)
    left = signal_and_noise(cosine_log_snr(torch.tensor([0.0, 1 / steps], dtype=torch.float64)))[1]
    assert (found - structure).square().mean().sqrt() < 1.5 * left[0]
