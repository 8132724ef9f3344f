"""The average of the weights: a copy at first, then slower and slower."""

import io

import pytest
import torch

from cryingan.models.unet.average import RisingAverage


@pytest.fixture
def network():
    layer = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.zeros_(layer.weight)
    return layer


def followed(network, average, steps):
    """Count the steps in the weight of a network; return what the average has after each."""
    found = []
    for _ in range(steps):
        with torch.no_grad():
            network.weight += 1
        average.update_parameters(network)
        found.append(average.module.weight.item())
    return found


@pytest.mark.parametrize("largest", [0.9999, 0.9])
def test_follows_every_tenth_step(network, largest):
    found = followed(network, RisingAverage(network, largest), 500)
    expected = 0.0
    for step in range(1, 501):
        if step % 10 == 0:
            decay = 0.0 if step <= 100 else min(largest, 1 - (step - 100) ** (-2 / 3))
            expected = decay * expected + (1 - decay) * step
        assert found[step - 1] == pytest.approx(expected), step


def test_decay_at_the_end_of_the_benchmarks_training(network):
    average = RisingAverage(network, 0.9999)
    average.steps.fill_(150_001)
    assert average.decay == pytest.approx(0.99965, abs=1e-5)


def test_continues_from_a_checkpoint(network):
    whole = followed(network, RisingAverage(network, 0.99), 300)
    with torch.no_grad():
        network.weight.zero_()
    average = RisingAverage(network, 0.99)
    followed(network, average, 157)
    file = io.BytesIO()
    torch.save(average.state_dict(), file)
    file.seek(0)
    other = RisingAverage(network, 0.99)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert followed(network, other, 143) == pytest.approx(whole[157:])
