"""CrysTens: its image and its reading, the cascade, what it learns and samples."""

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.unet.crystens import CrysTens, from_differences, pair_quantities, resized
from tests.support.small_models import UNET
from tests.support.unet import STRUCTURE, trained

CELL = [[6.0, 0.0, 0.0], [3.0, 5.0, 0.0], [0.0, 1.0, 8.0]]
SPECIES = ["Li", "Cl", "Li", "O", "Li"]
SECOND = {"second_blocks": [1], "second_attention": [False]}


def model(species=SPECIES, **settings):
    return CrysTens(CELL, list(species), **{**UNET, "small_size": 8, **SECOND, **settings})


def fitted(net, fractional):
    net.fit([net.in_image(fractional)])
    return net


def random_structures(count, atoms, seed=0):
    return torch.rand(count, atoms, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("species", [SPECIES, ["Si"] * 4, ["Cl", "Li"]])
def test_images_are_read_as_they_were_written(species):
    fractional = random_structures(6, len(species))
    net = fitted(model(species, cascade=False), fractional)
    images = net.encode(net.in_image(fractional))
    assert images.shape == (6, 1, 4, net.size, net.size)
    assert images.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(net.from_image(net.decode(images)), fractional, rtol=0, atol=1e-6)


def test_the_image_line_by_line():
    fractional = random_structures(3, 5)
    net = fitted(model(), fractional)
    assert (net.start, net.size) == (11, 16)  # divisible by 2, and 11 lines
    places = net.in_image(fractional)
    image = net.encode(places)[:, 0]
    numbers = torch.tensor([3.0, 17, 3, 8, 3])
    apart = places[:, :, None] - places[:, None]
    every = [apart.norm(dim=-1), *apart.unbind(-1)]
    for channel in range(4):
        assert image[:, channel].transpose(1, 2)[:, :11].equal(image[:, channel, :11])
        torch.testing.assert_close(image[:, channel, 0, 11:], ((numbers - 3) / 7 - 1).expand(3, -1))
        for axis in range(3):
            values = places[..., axis]
            scaled = 2 * (values - values.min()) / (values.max() - values.min()) - 1
            torch.testing.assert_close(image[:, channel, 1 + axis, 11:], scaled)
        assert not image[:, channel, 4:11].any()
        scaled = 2 * (every[channel] - every[channel].min()) / (every[channel].max() - every[channel].min()) - 1
        torch.testing.assert_close(image[:, channel, 11:, 11:], scaled)


@pytest.mark.parametrize("atoms", [2, 5])
def test_differences_by_least_squares(atoms):
    """Positions whose differences are nearest to given ones, against numpy's solution."""
    random = np.random.default_rng(0)
    given = random.normal(size=(atoms, atoms, 3))
    rows = [(j, k) for j in range(atoms) for k in range(atoms)]
    matrix = np.zeros((len(rows) + 1, atoms))
    for row, (j, k) in enumerate(rows):
        matrix[row, j] += 1
        matrix[row, k] -= 1
    matrix[-1] = 1  # about their mean
    right = np.concatenate([given.reshape(-1, 3), np.zeros((1, 3))])
    expected = np.linalg.lstsq(matrix, right, rcond=None)[0]
    found = from_differences(torch.from_numpy(given)[None])[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_a_change_of_a_row_and_a_column_moves_an_atom():
    fractional, change, n = random_structures(1, 5).double(), 0.1, 5
    pairs = pair_quantities(fractional)[..., 1:]
    moved = pairs.clone()
    moved[:, :, 2] += change
    moved[:, 2] -= change
    apart = from_differences(moved) - from_differences(pairs)
    expected = torch.full((1, 5, 3), change / n, dtype=torch.float64)
    expected[:, 2] = -change * (n - 1) / n
    torch.testing.assert_close(apart, expected)


def test_an_offset_of_all_lines_moves_the_structure():
    fractional = 0.2 + 0.5 * random_structures(2, 5)
    net = fitted(model(cascade=False), fractional)
    images = net.encode(net.in_image(fractional))
    images[:, :, :, 11:, 1] += 0.08  # half of the copies of a coordinate
    apart = net.decode(images) - net.in_image(fractional)
    width = fractional[..., 0].max() - fractional[..., 0].min()
    expected = torch.tensor([0.02 * width, 0.0, 0.0]).expand(2, 5, 3)
    torch.testing.assert_close(apart, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("size", "small", "rows"), [(280, 64, [0, 4, 8, 13, 17]), (88, 64, [0, 1, 2, 4, 5])])
def test_small_images_take_the_nearest_pixels(size, small, rows):
    image = torch.arange(float(size)).expand(1, 1, 1, size, size)
    assert resized(image, small)[0, 0, 0, 0, :5].tolist() == rows


@pytest.mark.parametrize(("atoms", "size"), [(264, 280), (77, 88), (5, 16)])
def test_images_are_as_large_as_the_benchmarks(atoms, size):
    levels = {"multiples": [1, 2, 4], "blocks": [0] * 3, "attention": [False] * 3}
    second = {"second_blocks": [0] * 3, "second_attention": [False] * 3}
    assert model(["Li"] * atoms, **levels, **{**second, "small_size": 4}).size == size
    one = model(["Li"] * atoms, **levels, cascade=False).size
    assert one % 4 == 0
    assert 11 + atoms <= one <= size


def test_a_small_image_that_is_no_smaller_is_refused():
    with pytest.raises(CryinGANError, match=r"small_size=64: the image has 16 rows; take model\.cascade=false"):
        model(small_size=64)


def test_the_second_network_is_given_the_noised_small_image():
    net = model()
    small, noise = torch.randn(2, 3, 1, 4, 8, 8)[0], torch.randn(3, 1, 4, 16, 16)
    given, log_snr = net.given(small, noise, torch.tensor(0.2))
    expected = 0.818690 * small.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2) + 0.574236 * noise
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)
    assert log_snr.shape == (3,)


def test_both_networks_are_trained():
    net = model()
    losses = net.losses(random_structures(4, 5), torch.rand(4), torch.Generator().manual_seed(0))
    assert losses["loss"].item() == pytest.approx((losses["loss_small"] + losses["loss_full"]).item() / 2)
    losses["loss"].backward()
    assert all(parameter.grad is not None for parameter in net.network.parameters())
    assert net.logged_keys >= {"train/loss_small", "val/loss_full"}


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize(("batch_size", "n"), [(2, 5), (16, 3)])
def test_samples_do_not_depend_on_batches_or_their_number(cascade, batch_size, n):
    net = model(cascade=cascade)
    expected, found = net.sample(5, seed=3, steps=4), net.sample(n, seed=3, batch_size=batch_size, steps=4)
    apart = found.fractional - expected.fractional[:n]
    assert np.abs(apart - np.rint(apart)).max() < 1e-4
    assert found.species == tuple(SPECIES)


def test_one_structure_is_learned():
    """Nothing hides its place, so that the loss falls towards 0."""
    wide = {"width": 32, "blocks": [0], "attention": [False], "halve_first": True}
    net = fitted(model(SPECIES[:3], cascade=False, ema=0.0, **wide), STRUCTURE[:, :3])
    assert trained(net, STRUCTURE[:, :3], steps=100, rate=0.01, structures=8) < 0.2
