"""Samples that discriminators refine, against scores whose slopes are known."""

import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.models.cryingan.refinement import STEP, refined
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from tests.support.models import CELL, SIZES, SPECIES
from train import train

SKEWED = torch.tensor(CELL)
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
    needed = ((-0.5 - height(before)) / STEP).ceil().clamp_min(0)
    assert len(set(needed.tolist())) > 2, "all alike would test little"
    torch.testing.assert_close(moved(before, after), STEP * needed)
    torch.testing.assert_close(height(after), height(before) + STEP * needed)


def test_steps_end_where_they_must():
    before = places(spread=0.1)
    torch.testing.assert_close(
        moved(before, refined(before, SKEWED, height, 0.0, 3)), torch.full((6,), 3 * STEP).double()
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


def test_slopes_that_are_nothing_or_not_finite_move_nothing():
    before = places()
    assert torch.equal(refined(before, SKEWED, lambda some: 0 * some.sum(dim=(1, 2)), 1.0, 3), before)
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


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_checkpoint_refines_as_its_training_does(tiny, tmp_path, weight):
    for epochs in (1, 2):  # resumed, too
        train(tiny(*RUN, f"lambda={weight}", "model.refine_steps=40", f"trainer.max_epochs={epochs}"))
    path = tmp_path / "run/checkpoints/last.ckpt"
    model = load_model(path)
    assert model.real_score == read_checkpoint(path)["cryingan_real_score"]
    raw = model.sample(16, seed=5, refine_steps=0)
    before = scores(model, raw)
    model.real_score = before.median().item()  # networks so young may take all of their samples for real
    fine = model.sample(16, seed=5)
    assert fine.same_as(model.sample(16, seed=5, refine_steps=40))
    after, low = scores(model, fine), before < model.real_score
    assert (after[low] > before[low]).all()
    assert torch.equal(after[~low], before[~low])


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
