import pytest
import torch

from data.loader import TensorLoader

SET = torch.arange(22.0)[:, None]


def epoch(loader, number):
    loader.set_epoch(number)
    return list(loader)


@pytest.mark.parametrize(
    ("size", "batch_size", "batches"), [(22, 4, 6), (22, 22, 1), (22, 50, 1), (1, 3, 1), (20, 4, 5)]
)
def test_every_structure_comes_once_in_an_epoch(size, batch_size, batches):
    loader = TensorLoader(SET[:size], batch_size, seed=0)
    for number in range(3):
        found = epoch(loader, number)
        assert len(found) == len(loader) == batches
        assert sorted(torch.cat(found).flatten().tolist()) == list(range(size))


def test_the_order_follows_from_seed_and_epoch_alone():
    first, second = (TensorLoader(SET, 4, seed=5) for _ in range(2))
    epoch(first, 0)
    assert all(torch.equal(a, b) for a, b in zip(epoch(first, 3), epoch(second, 3), strict=True))
    orders = {
        tuple(torch.cat(epoch(TensorLoader(SET, 4, seed), number)).flatten().tolist())
        for seed in (0, 1)
        for number in (0, 1)
    }
    assert len(orders) == 4
    assert torch.equal(torch.cat(list(TensorLoader(SET, 4, 0, shuffle=False))), SET)


@pytest.mark.parametrize("done", [0, 1, 3, 6])
def test_a_saved_position_resumes_with_the_next_batch(done):
    loader = TensorLoader(SET, 4, seed=0)
    loader.set_epoch(2)
    batches = iter(loader)
    for _ in range(done):
        next(batches)
    state = loader.state_dict()
    other = TensorLoader(SET, 4, seed=0)
    other.load_state_dict(state)
    other.set_epoch(2)
    rest = list(other)
    expected = epoch(TensorLoader(SET, 4, seed=0), 2)[done % 6 :]
    assert len(rest) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(rest, expected, strict=True))
    assert len(epoch(other, 3)) == 6


def test_a_pass_that_was_cut_short_does_not_shorten_the_next():
    loader = TensorLoader(SET, 4, seed=0)
    next(iter(loader))
    other = TensorLoader(SET, 4, seed=0)
    other.load_state_dict(loader.state_dict())
    assert len(epoch(other, 1)) == 6


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_processes_share_the_structures_evenly(world_size):
    loaders = [TensorLoader(SET, 4, 0, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [torch.cat(epoch(loader, 1)).flatten().tolist() for loader in loaders]
    assert len({len(share) for share in shares}) == len({len(loader) for loader in loaders}) == 1
    everything = [structure for share in shares for structure in share]
    assert set(everything) == set(range(22))
    assert len(everything) - 22 < world_size
