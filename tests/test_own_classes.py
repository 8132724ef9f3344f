"""A user's own model and data module are a `_target_`; what is wrong with them is one line."""

import re
from textwrap import dedent

import ase.io
import numpy as np
import pytest
from omegaconf import OmegaConf, open_dict

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import ROOT
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from train import train

MODEL = {"_target_": "tests.support.own_classes.MeanStructure", "noise": 0.02, "seed": "${seed}"}
DATA = {"_target_": "tests.support.own_classes.FirstStructures", "first": 16}


def with_own(config, model=MODEL, data=None):
    with open_dict(config):
        config.model = OmegaConf.create(model)
        config.data = OmegaConf.merge(config.data, data or {})
    return config


def test_an_own_model_and_data_module_train_resume_and_sample(tiny, tmp_path, capsys):
    for epochs in (1, 2):
        train(with_own(tiny(f"trainer.max_epochs={epochs}", "callbacks.structures.every_n_epochs=1"), data=DATA))
    assert re.search(r"epoch 2/2: loss 0\.\d+, \S+ steps/s", capsys.readouterr().out)
    run = tmp_path / "run"
    saved = read_checkpoint(run / "checkpoints/last.ckpt")
    assert saved["epoch"] == 1
    assert saved["hyper_parameters"]["noise"] == 0.02
    assert saved["global_step"] == 2 * 3  # 12 of 16 structures in batches of 4
    mean = saved["state_dict"]["mean"]
    assert not np.allclose(mean, 0.5)
    assert len(ase.io.read(run / "samples/epoch_000002.extxyz", ":")) == 2


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({**MODEL, "_target_": "tests.support.own_classes.Missing"}, "Missing"),
        ({**MODEL, "_target_": "no_such_module.Model"}, "no_such_module"),
        ({**MODEL, "nosie": 0.1}, "nosie"),
    ],
)
def test_a_wrong_target_or_key_is_one_line(tiny, model, said):
    with pytest.raises(CryinGANError, match=said) as caught:
        train(with_own(tiny(), model))
    assert "\n" not in str(caught.value)


def test_the_model_of_the_documentation_trains_resumes_and_samples(tiny, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs/development.md").read_text()
    code = text.partition("    # my_model.py\n")[2].partition("    # configs/model/mine.yaml")[0]
    (tmp_path / "my_model.py").write_text(dedent(code))
    assert code.count("\n") < 40
    monkeypatch.syspath_prepend(tmp_path)
    model = {"_target_": "my_model.MyModel", "width": 0.02, "seed": "${seed}"}
    for epochs in (1, 2):
        train(with_own(tiny(f"trainer.max_epochs={epochs}", "callbacks.structures.every_n_epochs=1"), model))
    assert re.search(r"epoch 2/2: \S+ steps/s", capsys.readouterr().out), "it logs nothing that could be shown"
    from my_model import MyModel

    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    samples = MyModel.load_from_checkpoint(checkpoint, weights_only=True).sample(3, seed=1)
    assert (len(samples), samples.counts) == (3, {"Li": 4, "O": 4, "Cl": 2})
    with pytest.raises(CryinGANError, match="there is no model 'mine'"):
        load_model(checkpoint)


def test_replicas_of_an_own_model_are_refused(tiny):
    with pytest.raises(CryinGANError, match="train CryinGAN only"):
        train(with_own(tiny("replicas=2", "run_dir=runs/${seed}")))


def test_a_callback_of_lightning_that_logs_without_an_epoch(tiny, tmp_path):
    monitor = "+callbacks.rates={_target_: lightning.pytorch.callbacks.LearningRateMonitor}"
    train(tiny(monitor, "trainer.max_epochs=1"))
    assert (tmp_path / "run/metrics.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["callbacks.quality.every_n_epochs=0"], "every_n_epochs=0"),
        (["callbacks.quality.n=0"], "at least 1"),
        (["model.betas=[2,3]"], "betas"),
        (["model.betas=[0.5]"], "two decay rates"),
        (["seed=-1"], "seed=-1"),
        (["resume=sometimes"], "resume=sometimes: it is auto, never or"),
    ],
)
def test_impossible_settings_of_callbacks_and_optimisers_are_refused(tiny, overrides, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*overrides, "trainer.max_epochs=1"))


@pytest.mark.parametrize(
    ("group", "target", "said"),
    [
        ("data", "lightning.LightningDataModule", "seed|crystals"),
        ("model", "tests.support.own_classes.WithoutSeed", "seed"),
    ],
)
def test_what_an_own_class_lacks_is_named(tiny, group, target, said):
    config = tiny("trainer.max_epochs=1")
    with open_dict(config):
        config[group] = {"_target_": target, **({"path": config.data.path} if group == "data" else {})}
    with pytest.raises(CryinGANError, match=said):
        train(config)
