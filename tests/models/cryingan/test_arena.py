"""Memory that a step keeps: pieces do not overlap, come back step after step, and change no result."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from lightning.fabric import Fabric

from cryingan.models.cryingan import arena, gan
from cryingan.models.cryingan.arena import Arena
from cryingan.models.cryingan.critic import critic_terms, mean_score
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.losses import gradient_penalty
from cryingan.models.cryingan.networks import Discriminator
from cryingan.training.replicas import stacked

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
    kept, like = Arena(), torch.zeros(1)
    with kept.frame():
        assert kept.take((2, 2), torch.zeros(1, device="meta")) is None
        with torch.autocast("cpu", torch.bfloat16):
            assert kept.take((2, 2), like) is None
        monkeypatch.setattr(arena, "LARGE", 4)
        assert kept.take((3,), like) is None
        assert kept.take((2, 2), like) is not None


def test_nothing_is_handed_out_that_nobody_gives_back():
    with pytest.raises(RuntimeError, match="within a frame"):
        Arena().take((4,), torch.zeros(1))


def test_a_block_of_inference_mode_serves_there_alone():
    kept, weight = Arena(), torch.ones(1, requires_grad=True)
    for inference in (True, True, False, False, True):
        with torch.inference_mode(inference), kept.frame():
            piece = kept.take((4,), weight).fill_(1)
            assert piece.is_inference() is inference
    with kept.frame():
        (kept.take((4,), weight).fill_(1) * weight).sum().backward()
    assert weight.grad == 4


def test_copies_and_files_of_a_model_leave_the_memory_out():
    kept = Arena()
    for _ in range(2):
        with kept.frame():
            kept.take((10**5,), torch.zeros(1))
    assert len(copy.deepcopy(kept).block) == 0
    assert len(pickle.dumps(kept)) < 1000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pooling", ["avg", "max", "mix"])
@pytest.mark.parametrize("networks", [1, 3])
def test_steps_of_discriminators_of_several_batches_share_an_arena(networks, pooling, dtype):
    """The batches differ in size, as the last of an epoch does; every stacked network has its own weight in the loss.

    In float64 all is compared with automatic differentiation of each network, in float32 bit for bit with what a new
    arena gives.
    """
    kept, source = Arena(), torch.Generator().manual_seed(1)
    each = [Discriminator(4, (3, 2), pooling, (9, 8, 7), (11, 5), outputs=3).to(dtype) for _ in range(networks)]
    for parameter in (p for network in each for p in network.parameters()):
        torch.nn.init.normal_(parameter, std=0.4, generator=source)
    copies = copy.deepcopy(each)
    whole = stacked(copies) if networks > 1 else copies[0]
    weights = torch.arange(1.0, networks + 1, dtype=dtype)
    for structures in (4, 4, 2, 6, 4):
        real, fake = torch.randn(2, networks, structures, 5, 4, dtype=dtype, generator=source)
        alpha = torch.rand(networks, structures, dtype=dtype, generator=source)
        found = closed_form(whole, real, fake, alpha, weights, kept)
        if dtype == torch.float32:
            expected, tolerance = closed_form(whole, real, fake, alpha, weights, Arena()), 0
        else:
            parts = [automatic(*one) for one in zip(each, real, fake, alpha, weights, strict=True)]
            expected, tolerance = [torch.stack(values) for values in zip(*parts, strict=True)], 1e-11
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def closed_form(network, real, fake, alpha, weights, kept) -> list[torch.Tensor]:
    """Terms, score and gradients of one network or of stacked ones, the networks' axis in front of all."""
    given = [real, fake, alpha] if len(weights) > 1 else [real[0], fake[0], alpha[0]]
    features = given[1].clone().requires_grad_()
    terms = critic_terms(network, *given, arena=kept)
    score = mean_score(network, features, kept)
    network.zero_grad()
    (weights.squeeze() * (terms.loss + score)).sum().backward()
    values = [*terms, score, features.grad, *(p.grad for p in network.parameters())]
    return [value.detach().clone() if len(weights) > 1 else value.detach().clone()[None] for value in values]


def automatic(network, real, fake, alpha, weight) -> list[torch.Tensor]:
    features = fake.clone().requires_grad_()
    penalty = gradient_penalty(network, real, fake, alpha)
    scores = network(real).mean(), network(fake).mean()
    loss = penalty - (scores[0] - scores[1])
    network.zero_grad()
    (weight * loss).backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in network.parameters()]
    score = network(features).mean()
    (slope,) = torch.autograd.grad(weight * score, features)
    return [value.detach() for value in (loss, *scores, penalty, score, slope, *gradients)]


def test_a_model_keeps_its_memory_from_step_to_step(monkeypatch):
    arenas = {}
    for name in ("generate", "critic_terms", "mean_score"):
        original = getattr(gan, name)

        def spy(*given, original=original, name=name):
            arenas.setdefault(name, []).append(given[-1])
            return original(*given)

        monkeypatch.setattr(gan, name, spy)
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
    assert {name: len(given) for name, given in arenas.items()} == {"generate": 4, "critic_terms": 8, "mean_score": 8}
    assert all(one is model.arena for given in arenas.values() for one in given)
    assert model.arena.used == 0
    assert model.arena.most == len(model.arena.block) > 0
