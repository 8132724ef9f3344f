"""Memory that a step keeps: pieces do not overlap, come back step after step, and change no result."""

from __future__ import annotations

import copy

import pytest
import torch
from lightning.fabric import Fabric

from cryingan import arena, generation
from cryingan.arena import Arena
from cryingan.critic import critic_terms, mean_score
from cryingan.gan import CryinGAN
from cryingan.generation import generate
from cryingan.networks import Discriminator, Generator
from cryingan.replicas import stacked

SHAPES = [(3, 5), (17,), (2, 4, 4), ()]


@pytest.fixture(autouse=True)
def small_pieces_too(monkeypatch):
    monkeypatch.setattr(arena, "LARGE", 1)


def take_all(kept: Arena, like: torch.Tensor) -> list[torch.Tensor]:
    pieces = [kept.take(shape, like) for shape in SHAPES]
    for number, piece in enumerate(pieces):
        piece.fill_(number)
    for number, piece in enumerate(pieces):
        assert (piece == number).all()
        assert piece.is_contiguous()
    return pieces


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_from_the_second_step_on_the_pieces_stay_where_they_are(dtype):
    kept, like, places = Arena(), torch.zeros(1, dtype=dtype), []
    for _ in range(3):
        with kept.frame():
            pieces = take_all(kept, like)
            places.append([piece.data_ptr() for piece in pieces])
            assert {piece.dtype for piece in pieces} == {dtype}
            assert [tuple(piece.shape) for piece in pieces] == SHAPES
    assert places[1] == places[2]
    assert all(place % 64 == 0 for place in places[2])


def test_an_inner_frame_gives_back_what_was_taken_in_it_alone():
    kept, like = Arena(), torch.zeros(1)
    for _ in range(2):
        with kept.frame():
            outer = kept.take((4,), like).fill_(1)
            with kept.frame():
                inner = kept.take((4,), like).fill_(2)
            again = kept.take((4,), like)
    assert (outer == 1).all()
    assert again.data_ptr() == inner.data_ptr()


def test_an_error_within_a_frame_ends_it():
    kept, like = Arena(), torch.zeros(1)

    def step() -> None:
        with kept.frame():
            kept.take((4,), like)
            kept.take((4,), like).view(3)

    with pytest.raises(RuntimeError):
        step()
    assert kept.used == 0


def test_a_larger_step_is_served_and_a_smaller_one_takes_nothing_away():
    kept, like = Arena(), torch.zeros(1)
    for size in (3, 100, 5, 100):
        with kept.frame():
            assert kept.take((size,), like).shape == (size,)
    assert len(kept.block) >= 100


def test_nothing_is_handed_out_on_accelerators_under_autocast_and_for_small_pieces(monkeypatch):
    kept = Arena()
    assert kept.take((3,), torch.zeros(1, device="meta")) is None
    monkeypatch.setattr(arena, "LARGE", 4)
    assert kept.take((3,), torch.zeros(1)) is None
    assert kept.take((2, 2), torch.zeros(1)) is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert kept.take((3,), torch.zeros(1)) is None


@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
def test_discriminators_steps_of_several_batches_share_an_arena(pooling):
    """Bit for bit what each gives with memory of its own; the batches differ in size, as the last of an epoch does."""
    kept, source = Arena(), torch.Generator().manual_seed(1)
    network = Discriminator(4, (3, 2), pooling, widths=(9, 8, 7), head=(11, 5), outputs=3)
    for structures in (4, 4, 2, 6, 4):
        real, fake = torch.randn(2, structures, 5, 4, generator=source)
        alpha = torch.rand(structures, generator=source)
        found, expected = [], []
        for results, memory in ((found, kept), (expected, None)):
            features = fake.clone().requires_grad_()
            terms = critic_terms(network, real, fake, alpha, arena=memory)
            score = mean_score(network, features, memory)
            (terms.loss + score).backward()
            results += [*terms, score, features.grad, *(p.grad.clone() for p in network.parameters())]
            network.zero_grad()
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("rows", [1, 7, 1024])
@pytest.mark.parametrize("copies", [1, 2])
def test_generation_without_a_gradient_is_the_generators_and_updates_its_statistics(rows, copies, monkeypatch):
    monkeypatch.setattr(generation, "ROWS_AT_ONCE", rows)
    networks = [Generator(8, latent_dim=7, channels=6, widths=(5, 9, 4)).double() for _ in range(copies)]
    for number, value in enumerate(v for network in networks for v in network.state_dict().values()):
        if value.is_floating_point():
            value.uniform_(0.2, 1.0, generator=torch.Generator().manual_seed(number))
    network = networks[0] if copies == 1 else stacked(networks)
    reference, kept = copy.deepcopy(network), Arena()
    for seed in range(3):
        shape = (5, 7) if copies == 1 else (copies, 5, 7)
        noise = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        made = generate(network, noise, kept)
        assert not made.requires_grad
        torch.testing.assert_close(made, reference(noise).detach(), rtol=0, atol=1e-14)
        torch.testing.assert_close(dict(network.named_buffers()), dict(reference.named_buffers()), rtol=0, atol=1e-14)


def test_a_model_keeps_its_memory_from_step_to_step():
    model = CryinGAN([[4.0, 0, 0], [0, 4, 0], [0, 0, 4]], ["Li", "Li", "Cl"], n_neighbors=2)
    optimizers = dict(zip(model.networks, model.configure_optimizers()[0], strict=True))
    fabric = Fabric(accelerator="cpu")
    model.fabric = fabric  # of which it keeps a weak reference
    batch = torch.cat(list(model.features(torch.rand(4, 3, 3)).values()), dim=-1)
    blocks = []
    for number in range(4):
        model._discriminator_step(batch, number, optimizers)
        model._generator_step(4, number, optimizers["generator"])
        blocks.append(model.arena.block.data_ptr())
    assert len(set(blocks[2:])) == 1
    assert model.arena.used == 0
    assert model.arena.most == len(model.arena.block)
