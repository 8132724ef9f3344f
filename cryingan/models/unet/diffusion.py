"""Noise in continuous time, the weight of the loss, and the way back (Ho et al. 2020; Kingma et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

OFFSET = 0.008  # of the cosine, Nichol and Dhariwal, ICML 2021 (arXiv:2102.09672), equation 17
LEAST, LARGEST = 1e-5, 1e15  # noise over signal, squared; at time 1 single precision has the largest
HEAVIEST = 5.0  # signal-to-noise ratio up to which all times weigh the same
QUANTILE = 0.95  # of the magnitudes of an estimate, Saharia et al. 2022 (arXiv:2205.11487), section 2.3


def cosine_log_snr(time: Tensor) -> Tensor:
    """Logarithm of the signal-to-noise ratio at times from 0 (no noise) to 1 (noise alone): alpha is a cosine.

    Example:
        >>> import torch
        >>> from cryingan.models.unet.diffusion import cosine_log_snr
        >>> cosine_log_snr(torch.tensor([0.25, 0.5, 0.75]))
        tensor([ 1.7103, -0.0249, -1.7804])
    """
    angle = (time.double() + OFFSET) / (1 + OFFSET) * math.pi / 2
    return -angle.tan().square().clamp(LEAST, LARGEST).log().to(time.dtype)


def linear_log_snr(time: Tensor) -> Tensor:
    """The same where the variance of noise added in a step grows linearly (Ho et al. 2020)."""
    return -torch.expm1(1e-4 + 10 * time.double().square()).log().to(time.dtype)


def signal_and_noise(log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of signal and noise, alpha and sigma, whose squares add up to 1."""
    return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()


def noised(images: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Images times alpha plus noise times sigma, with a ratio for every structure, shape (structures,)."""
    signal, sigma = (one.view(-1, *(1 for _ in images.shape[1:])) for one in signal_and_noise(log_snr))
    return signal * images + sigma * noise


def loss_weight(log_snr: Tensor) -> Tensor:
    """min(SNR, 5) / SNR, by which the mean square error of the noise counts (Hang et al., ICCV 2023, equation 5)."""
    return (HEAVIEST * (-log_snr).exp()).clamp_max(1.0)


def thresholded(images: Tensor) -> Tensor:
    """Estimates of structures within [-1, 1]: those beyond are cut at a quantile of their magnitude and divided by it.

    Args:
        images: shape (structures, ...).
    """
    # One by one, as torch takes no quantile of more than 16 million numbers.
    quantiles = torch.stack([image.abs().quantile(QUANTILE) for image in images])
    largest = quantiles.clamp_min(1.0).view(-1, *(1 for _ in images.shape[1:]))
    return images.clamp(-largest, largest) / largest


def denoised(
    start: Tensor,
    noise_in: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    draw: Callable[[], Tensor],
    corrected: Callable[[Tensor], Tensor] = thresholded,
) -> Tensor:
    """Take images from time 1 to 0 in equal steps, each to a draw from the posterior of the estimated structure.

    Args:
        start: normal noise, shape (structures, ...).
        noise_in: an estimate of the noise in images, from them and the logarithm of their signal-to-noise ratio,
            shape (structures,).
        steps: their number; the last adds no noise.
        draw: new normal noise of the shape of `start`.
        corrected: what is known of structures, applied to every estimate of them.
    """
    images = start
    ratios = cosine_log_snr(torch.linspace(1, 0, steps + 1, dtype=torch.float64)).tolist()
    for step, (ratio, following) in enumerate(pairwise(ratios)):
        (signal, sigma), (next_signal, next_sigma) = (
            map(float, signal_and_noise(torch.tensor(one, dtype=torch.float64))) for one in (ratio, following)
        )
        at = torch.full((len(images),), ratio, device=images.device, dtype=images.dtype)
        estimate = corrected((images - sigma * noise_in(images, at)) / signal)
        kept = math.exp(ratio - following)
        images = next_signal * (kept / signal * images + (1 - kept) * estimate)
        if step < steps - 1:
            images = images + next_sigma * math.sqrt(1 - kept) * draw()
    return images
