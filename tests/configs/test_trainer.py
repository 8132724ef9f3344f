"""Values of trainer and callbacks that train nothing, or fail late, are refused before anything runs."""

import copy

import pytest
import torch

from configs.trainer import keep_former_best
from cryingan.errors import CryinGANError
from tests.conftest import compose
from train import train


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.max_epochs=-1", r"trainer\.max_epochs=-1: it must be at least 0"),
        ("trainer.check_val_every_n_epoch=0", r"check_val_every_n_epoch=0: it must be at least 1"),
        ("trainer.limit_train_batches=0", "limit_train_batches=0 trains on nothing"),
        ("trainer.limit_train_batches=0.0", "limit_train_batches=0 trains on nothing"),
        ("trainer.max_time=11h", r"max_time=11h: it must be DD:HH:MM:SS"),
        ("trainer.max_time=11:30:00", r"it must be DD:HH:MM:SS"),
        ("trainer.strategy=foo", r"strategy=foo: Lightning has none; trainer=ddp"),
        ("trainer.devices=2", r"on several devices: use trainer=ddp trainer\.devices=2$"),
        ("callbacks.last.every_n_epochs=0", r"callbacks\.last\.every_n_epochs=0: it must be at least 1"),
        ("callbacks.structures=null", r"callbacks\.structures=null: to leave it out, write ~callbacks\.structures"),
        ("callbacks.quality.every_n_epochs=-5", r"callbacks\.quality\.every_n_epochs=-5"),
        ("callbacks.quality.n=0", r"callbacks\.quality\.n=0"),
        ("callbacks.structures.n=0", r"callbacks\.structures\.n=0"),
    ],
)
def test_it_is_named_in_one_line_and_leaves_no_run(tiny, tmp_path, override, said):
    with pytest.raises(CryinGANError, match=said) as told:
        train(tiny(override))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_model_without_weights_is_refused_on_several_devices(crystal_file, tmp_path):
    overrides = ("model=linear", "trainer=ddp", "trainer.accelerator=cpu", "logger=csv", f"run_dir={tmp_path}")
    with pytest.raises(
        CryinGANError, match=r"trainer\.devices=2: the model has no weights to train on several"
    ) as told:
        train(compose(f"data.path={crystal_file}", *overrides))
    assert "\n" not in str(told.value)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_answered_by_what_trains(tiny):
    with pytest.raises(CryinGANError, match="finds no GPU here; trainer=cpu or trainer=auto"):
        train(tiny("trainer.accelerator=gpu"))


def test_few_structures_are_warned_of_once(tiny, caplog):
    train(tiny("trainer.max_epochs=1"))
    assert caplog.text.count("holds 24 structures") == 1


@pytest.mark.parametrize("former", ["callbacks: {relax: null}", "callbacks: {relax: {thresholds: [0, -0.3]}}", "{}"])
def test_former_thresholds_of_a_run(tmp_path, former):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text(former)
    for callbacks in ({"relax": None}, {}, {"relax": {"thresholds": [1.0]}}):
        keep_former_best(given := copy.deepcopy(callbacks), tmp_path / "checkpoints/last.ckpt")
        assert given == callbacks
    keep_former_best(found := {"relax": {"thresholds": None}}, tmp_path / "checkpoints/last.ckpt")
    assert found["relax"]["thresholds"] == ([0, -0.3] if "-0.3" in former else None)
