"""Random translations of training structures (`data.translate`)."""

import csv

import numpy as np
import pytest
import torch

from cryingan.errors import CryinGANError
from cryingan.geometry.distances import neighbor_distances
from cryingan.models.cryingan.gan import CryinGAN
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals
from data.loader import TensorLoader
from data.translation import axes_of, require_no_lattice, translations
from tests.conftest import compose, random_crystals
from tests.support.models import CELL, SIZES, SPECIES, batches_of
from tests.support.small_models import OVERRIDES
from train import train


@pytest.mark.parametrize(
    ("card", "axes"),
    [
        ("kind: interface", (0, 1)),
        ("{kind: interface, area_axis: a}", (1, 2)),
        ("{kind: interface, area_axis: b}", (0, 2)),
        ("kind: bulk", (0, 1, 2)),
    ],
)
def test_the_card_says_along_which_axes(tmp_path, card, axes):
    (tmp_path / "set.card.yaml").write_text(card)
    assert axes_of(True, tmp_path / "set.extxyz.gz") == axes
    assert axes_of(True, "elsewhere.extxyz", tmp_path / "set.card.yaml") == axes
    assert axes_of(False, tmp_path / "set.extxyz.gz") == ()
    assert axes_of("ca", tmp_path / "set.extxyz.gz") == (0, 2)


@pytest.mark.parametrize("setting", ["x", "", "aa", "a,b", 1, ["a"]])
def test_what_is_no_axis_is_refused(setting):
    with pytest.raises(CryinGANError, match=r"data.translate=.*: it must be true, false or the axes, such as ab"):
        axes_of(setting, "set.extxyz")


def test_a_lattice_is_not_translated_unless_the_axes_are_named():
    places = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3), axis=-1).reshape(27, 3)
    rng = np.random.default_rng(0)
    alloy = [places[rng.permutation(27)] + rng.normal(scale=0.01, size=(27, 3)) for _ in range(6)]
    species = ("Fe",) * 14 + ("Ni",) * 13
    with pytest.raises(CryinGANError, match=r"all structures of alloy.extxyz .* common sites.*data.translate=abc"):
        require_no_lattice(Crystals(np.array(alloy), 8 * np.eye(3), species), "alloy.extxyz")
    require_no_lattice(Crystals(rng.random((6, 27, 3)), 8 * np.eye(3), species), "glass.extxyz")


def loader(seed=0, size=4, **others):
    batches = batches_of(random_crystals(22, SPECIES, CELL), 4, size)
    return TensorLoader(
        batches.tensor, size, seed, translations=lambda epoch: translations(22, (0, 2), seed, epoch), **others
    )


def epoch_of(loader, epoch):
    """The batches of an epoch as one tensor, in the order of the set."""
    loader.set_epoch(epoch)
    return torch.cat(list(loader))[loader.order().argsort()]


def test_every_structure_moves_as_a_whole_and_its_distances_stay():
    one = loader()
    before = one.tensor.clone()
    moved = epoch_of(one, 3)
    assert torch.equal(one.tensor, before)
    apart = moved[..., :3] - before[..., :3]
    expected = translations(22, (0, 2), 0, 3).double().expand(-1, 10, -1)
    torch.testing.assert_close((apart - expected) - (apart - expected).round(), torch.zeros(22, 10, 3).double())
    assert (apart[..., 1] == 0).all()
    assert moved[..., :3].min() >= 0
    assert moved[..., :3].max() < 1
    assert torch.equal(moved[..., 3:], before[..., 3:])
    torch.testing.assert_close(neighbor_distances(moved[..., :3], torch.tensor(CELL), 4), before[..., 3:])


def test_translations_are_uniform_and_follow_from_seed_epoch_and_structure():
    drawn = translations(20_000, (0, 1, 2), 0, 0)
    assert (drawn.mean(dim=0) - 0.5).abs().max() < 0.01
    assert torch.equal(epoch_of(loader(size=4), 2), epoch_of(loader(size=7), 2))
    assert not torch.equal(epoch_of(loader(), 2), epoch_of(loader(), 1))
    assert not torch.equal(epoch_of(loader(), 2), epoch_of(loader(seed=1), 2))
    whole, half = loader(), loader(rank=1, world_size=2)
    half.set_epoch(2)
    assert torch.equal(torch.cat(list(half)), epoch_of(whole, 2)[half.order()])


def test_a_pass_that_was_interrupted_continues_with_the_same_translations():
    whole, cut, rest = loader(), loader(), loader()
    whole.set_epoch(2)
    cut.set_epoch(2)
    next(batches := iter(cut))
    next(batches)
    rest.load_state_dict(cut.state_dict())
    rest.set_epoch(2)
    assert torch.equal(torch.cat(list(rest)), torch.cat(list(whole)[2:]))


def test_a_resumed_run_ends_bit_for_bit_as_one_without_a_stop(tiny, tmp_path):
    settings = ("data.translate=ab", "trainer.max_epochs=3", "model.ema=0.9", "model.generator_interval=1")
    train(tiny(*settings, f"run_dir={tmp_path / 'whole'}"))
    for epochs in (1, 3):
        train(tiny(*settings, f"run_dir={tmp_path / 'parts'}", f"trainer.max_epochs={epochs}"))
    whole, parts = (read_checkpoint(tmp_path / run / "checkpoints/last.ckpt") for run in ("whole", "parts"))
    assert all(torch.equal(value, parts["state_dict"][name]) for name, value in whole["state_dict"].items())
    table, other = (list(csv.DictReader((tmp_path / run / "metrics.csv").open())) for run in ("whole", "parts"))
    assert table == other
    assert "samples/close_pairs" in table[-1]
    assert "samples/precision" not in table[-1]
    with pytest.raises(CryinGANError, match=r"data.translate is False here and ab in the checkpoint"):
        train(tiny(*settings[1:], f"run_dir={tmp_path / 'whole'}"))


@pytest.fixture
def quick(crystal_file, tmp_path):
    """A function from overrides to the config of a quick run of structures that share their sites."""
    off = (
        "~callbacks.quality",
        "~callbacks.structures",
        "trainer.max_epochs=1",
        "trainer.accelerator=cpu",
        "threads=1",
    )
    kept = (f"data.path={crystal_file}", f"run_dir={tmp_path / 'run'}", "logger=csv")
    return lambda *overrides: compose(*kept, *off, *overrides)


@pytest.mark.parametrize("overrides", [OVERRIDES["linear"], (*OVERRIDES["flow"], "model.prior=linear")])
def test_models_of_one_mean_structure_refuse(quick, tmp_path, overrides):
    with pytest.raises(CryinGANError, match=r"data.translate=ab: \w+ learns where in the cell atoms are"):
        train(quick(*overrides, "data.translate=ab"))
    assert not (tmp_path / "run").exists()


def test_other_models_learn_translated_structures(quick):
    assert np.isfinite(train(quick(*OVERRIDES["flow"], "data.translate=abc"))["train/loss"])


def test_without_a_card_the_axes_have_to_be_named(quick):
    with pytest.raises(CryinGANError, match=r"needs a card that says what the set is, .*card.yaml.*data.translate=ab"):
        train(quick(*OVERRIDES["flow"], "data.translate=true"))


def test_generated_structures_are_translated_before_a_discriminator_sees_them():
    model = CryinGAN(CELL.tolist(), list(SPECIES), distance_weight=0.05, **SIZES).double()
    model.translated = (0, 2)
    noise = torch.randn(6, 5, dtype=torch.float64)
    model.__dict__["source"] = lambda *_: torch.Generator().manual_seed(1)
    [translation] = model.draw_translation(6, "critic translation", 0)
    assert translation.shape == (6, 1, 3)
    assert (translation[..., 1] == 0).all()
    plain, moved = model.generated_features(noise), model.generated_features(noise, translation)
    apart = moved["coordinates"] - plain["coordinates"] - translation
    torch.testing.assert_close(apart - apart.round(), torch.zeros_like(apart))
    torch.testing.assert_close(moved["distances"], plain["distances"])
