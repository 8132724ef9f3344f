"""Samples that discriminators refine, against scores whose slopes are known."""

import copy

import numpy as np
import pytest
import torch

from configs.schema import plain
from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.refinement import STEP, refined
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.files import read_structures
from cryingan.training.checkpoints import load_model
from cryingan.training.initial_weights import load_initial_weights
from tests.conftest import random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of, quiet_trainer
from train import build, prepare, train

SKEWED = torch.tensor(CELL)
LENGTH = 2 * STEP  # Angstrom, of a step of four atoms
MIDDLE = torch.full((4, 3), 0.5, dtype=torch.float64)
RUN = ("trainer.max_epochs=2", "trainer.precision=64-true", "callbacks.quality.every_n_epochs=1")


def places(n=6, seed=0, spread=0.02):
    return MIDDLE + spread * torch.randn(n, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def height(fractional):
    """Minus the distance from one structure, in Angstrom: uphill is straight there."""
    return -torch.linalg.vector_norm((fractional - MIDDLE.to(fractional)) @ SKEWED.to(fractional), dim=(1, 2))


def moved(before, after):
    return torch.linalg.vector_norm((after - before) @ SKEWED.to(before), dim=(1, 2))


def test_each_structure_goes_straight_uphill_until_it_is_high_enough():
    before = places()
    after = refined(before, SKEWED, height, -0.5, 100)
    needed = ((-0.5 - height(before)) / LENGTH).ceil().clamp_min(0)
    assert len(set(needed.tolist())) > 2, "all alike would test little"
    torch.testing.assert_close(moved(before, after), LENGTH * needed)
    torch.testing.assert_close(height(after), height(before) + LENGTH * needed)


def test_steps_end_where_they_must():
    before = places(spread=0.1)
    torch.testing.assert_close(
        moved(before, refined(before, SKEWED, height, 0.0, 3)), torch.full((6,), 3 * LENGTH).double()
    )
    assert torch.equal(refined(before, SKEWED, height, 0.0, 0), before)


def test_what_is_high_enough_stays_to_the_bit():
    before = places()
    assert torch.equal(refined(before, SKEWED, height, height(before).min().item(), 10), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_structures_do_not_depend_on_the_others(dtype):
    before = places().to(dtype)
    together = refined(before, SKEWED, height, -0.3, 20)
    alone = torch.cat([refined(one[None], SKEWED, height, -0.3, 20) for one in before])
    assert together.dtype == dtype
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("slope", [0.0, 1e-25, torch.inf, torch.nan])
def test_slopes_that_are_nothing_or_not_finite_move_nothing(slope, dtype):
    before = places().to(dtype)
    assert torch.equal(refined(before, SKEWED, lambda some: Sloped.apply(some, slope), 1.0, 3), before)


class Sloped(torch.autograd.Function):
    """A score of 0 with the same slope everywhere."""

    @staticmethod
    def forward(context, some, slope):
        context.slope, context.of = slope, some.shape
        return some.new_zeros(len(some))

    @staticmethod
    def backward(context, given):
        return given[:, None, None].expand(context.of) * context.slope, None


def test_structures_that_are_not_finite_stay_and_leave_the_others_alone():
    before = places()
    broken = before.clone()
    broken[2, 1] = torch.nan
    after = refined(broken, SKEWED, height, -0.3, 20)
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(after[kept], refined(before, SKEWED, height, -0.3, 20)[kept])
    assert torch.equal(after[2].isnan(), broken[2].isnan())


def test_coordinates_stay_in_the_cell_and_what_came_is_left_alone():
    before = (places() + 0.5) % 1.0
    copy = before.clone()
    with torch.inference_mode():
        after = refined(before, SKEWED, lambda some: height((some + 0.5) % 1.0), -0.3, 20)
    assert torch.equal(before, copy)
    assert 0 <= after.min() <= after.max() < 1
    assert not after.requires_grad


def scores(model, samples):
    grouped = torch.tensor(samples.reordered(model.grouping).fractional, dtype=model.dtype)
    with torch.no_grad():
        return model._score(model.features(grouped))


@pytest.mark.parametrize("overrides", [("lambda=0.5",), ("lambda=0",), ("lambda=0.5", "model.ema=0.9")], ids=str)
def test_training_refines_as_its_checkpoint_does(tiny, tmp_path, overrides, monkeypatch):
    score = CryinGAN._real_score
    monkeypatch.setattr(CryinGAN, "_real_score", lambda model: None if (at := score(model)) is None else at + 0.05)
    for epochs in (1, 2):  # resumed, too
        keys = ("model.refine_steps=9", "callbacks.structures.every_n_epochs=1", f"trainer.max_epochs={epochs}")
        train(tiny(*RUN, *overrides, *keys))
    in_training = read_structures(tmp_path / "run/samples/epoch_000002.extxyz", closest=0.0)
    monkeypatch.undo()
    model = load_model(tmp_path / "run/checkpoints/last.ckpt")
    again, raw = (
        model.sample(len(in_training), model.hparams.seed, purpose="structures", refine_steps=steps) for steps in (9, 0)
    )
    np.testing.assert_allclose(wrapped(in_training, again), 0, atol=1e-5)
    assert np.abs(wrapped(in_training, raw)).max() > 1e-3


def wrapped(one, other):
    apart = one.fractional - other.fractional
    return apart - apart.round()


def test_samples_are_refined_until_they_score_enough(tiny, tmp_path):
    train(tiny(*RUN, "lambda=0.5", "model.refine_steps=40"))
    model = load_model(tmp_path / "run/checkpoints/last.ckpt")
    raw = model.sample(16, seed=5, refine_steps=0)
    before = scores(model, raw)
    model.real_score = before.median().item()  # networks so young may take all of their samples for real
    fine = model.sample(16, seed=5)
    assert fine.same_as(model.sample(16, seed=5, refine_steps=40))
    after, low = scores(model, fine), before < model.real_score
    assert (after[low] > before[low]).all()
    assert torch.equal(after[~low], before[~low])


def test_a_run_that_began_without_refinement_goes_on_without(tiny, tmp_path, capsys):
    train(tiny(*RUN, "trainer.max_epochs=1"))
    path = tmp_path / "run/checkpoints/last.ckpt"
    content = read_checkpoint(path)
    del content["hyper_parameters"]["refine_steps"], content["cryingan_real_score"]
    torch.save(content, path)
    train(tiny(*RUN, "model.refine_steps=9"))
    assert "model.refine_steps stays 0, as this run began without it" in capsys.readouterr().out
    model = load_model(path)
    assert model.hparams.refine_steps == 0
    assert model.real_score is not None


def test_weights_of_another_run_are_refined_before_they_are_trained(tiny, tmp_path):
    train(tiny(*RUN, "model.refine_steps=9", "run_dir=" + str(tmp_path / "first")))
    for weight, known in ((0.05, True), (0.0, True)):
        settings = plain(tiny(*RUN, f"lambda={weight}", "model.refine_steps=9"))
        _, model = build(settings)
        load_initial_weights(model, str(tmp_path / "first"))
        assert model.initialized is known
    other = plain(tiny(*RUN, "lambda=0", "run_dir=" + str(tmp_path / "second")))
    train(tiny(*RUN, "lambda=0", "run_dir=" + str(tmp_path / "second")))
    _, model = build(plain(tiny(*RUN, "lambda=0.05")))
    load_initial_weights(model, other["run_dir"])
    assert not model.initialized, "its distance discriminator is new"


def test_a_model_samples_after_its_training_and_forgets_an_old_score():
    model = CryinGAN(CELL.tolist(), list(SPECIES), **SIZES, refine_steps=9).double()
    model.real_score = 1e3
    quiet_trainer(precision="64-true").fit(model, batches_of(random_crystals(12, SPECIES, CELL), 4, 6))
    assert model.real_score is None, "without a data module it is not known"
    assert copy.deepcopy(model).sample(2, seed=1).same_as(model.sample(2, seed=1))


def test_a_trained_model_can_be_copied_and_sampled(tiny):
    run = prepare(tiny(*RUN, "model.refine_steps=9", "lambda=0.5"))
    run.fit()
    assert run.model.real is None
    assert run.model.real_score is not None
    assert copy.deepcopy(run.model).sample(4, seed=1).same_as(run.model.sample(4, seed=1))


def test_the_target_is_the_mean_score_of_the_training_structures(tiny, tmp_path, structures_file):
    from data.module import StructureData

    config = tiny(*RUN, "lambda=0.5")
    train(config)
    model = load_model(tmp_path / "run/checkpoints/last.ckpt")
    training = StructureData(
        structures_file, **{k: v for k, v in config.data.items() if k not in ("_target_", "path", "seed")}
    ).training
    assert scores(model, training).mean().item() == pytest.approx(model.real_score, abs=1e-5)


def test_an_untrained_discriminator_refines_nothing():
    plain, fine = (CryinGAN(CELL.tolist(), list(SPECIES), **SIZES, refine_steps=steps) for steps in (0, 9))
    assert fine.sample(3, seed=1).same_as(plain.sample(3, seed=1))
    with pytest.raises(CryinGANError, match=r"sampler.refine_steps=4: this checkpoint does not hold the score"):
        fine.sample(3, seed=1, refine_steps=4)


def test_a_negative_number_is_refused():
    for call in (
        lambda: CryinGAN(CELL.tolist(), list(SPECIES), **SIZES, refine_steps=-1),
        lambda: CryinGAN(CELL.tolist(), list(SPECIES), **SIZES).sample(1, seed=1, refine_steps=-1),
    ):
        with pytest.raises(CryinGANError, match="refine_steps=-1: it must be at least 0"):
            call()
