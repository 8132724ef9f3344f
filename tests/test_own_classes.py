"""A user's own model and data module are a `_target_`; what is wrong with them is one line."""

import json
import re
import shutil
from textwrap import dedent

import ase.io
import numpy as np
import pytest
from omegaconf import OmegaConf, open_dict

from configs import entry
from cryingan.errors import CryinGANError
from cryingan.models.base import GenerativeModel
from cryingan.storage.atomic import ROOT
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import load_model
from sample import sample
from tests.support.command import call
from tests.support.sampling import compose as compose_sample
from tests.support.small_models import CELL, SPECIES, checkpoint_of, small_model
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


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The class and the file of docs/development.md, where a user has them; returns the text of the class."""
    text = (ROOT / "docs/development.md").read_text()
    code, _, after = text.partition("    # my_model.py\n")[2].partition("    # configs/model/mine.yaml\n")
    (tmp_path / "my_model.py").write_text(dedent(code))
    shutil.copytree(ROOT / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "configs/model/mine.yaml").write_text(dedent(after.partition("\nThen")[0]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(entry, "CONFIGS", tmp_path / "configs")
    return code


def test_the_model_of_the_documentation_trains_resumes_and_samples(documented, tiny, tmp_path, capsys):
    assert documented.count("\n") <= 40
    model = {"_target_": "my_model.MyModel", "width": 0.02, "seed": "${seed}"}
    for epochs in (1, 2):
        train(with_own(tiny(f"trainer.max_epochs={epochs}", "callbacks.structures.every_n_epochs=1"), model))
    assert re.search(r"epoch 2/2: \S+ steps/s", capsys.readouterr().out), "it logs nothing that could be shown"
    settings = (f"checkpoint={tmp_path / 'run'}", "n=3", f"output={tmp_path / 'out'}")
    for named in ("model=mine", "model._target_=my_model.MyModel"):
        path = sample(compose_sample(named, *settings))
        assert [atoms.get_chemical_formula() for atoms in ase.io.read(path, ":")] == ["Cl2Li4O4"] * 3
        manifest = json.loads((tmp_path / "out/manifest.json").read_text())
        assert manifest["settings"]["width"] == 0.02, "of the checkpoint, not of mine.yaml"
    from my_model import MyModel

    samples = MyModel.load_from_checkpoint(tmp_path / "run/checkpoints/last.ckpt", weights_only=True).sample(3, seed=1)
    assert load_model(tmp_path / "run", MyModel).sample(3, seed=1).same_as(samples)
    found = np.stack([atoms.get_scaled_positions() for atoms in ase.io.read(path, ":")])
    apart = found - samples.fractional
    assert np.abs(apart - apart.round()).max() < 1e-6
    with pytest.raises(CryinGANError, match="of 'mine', a model of your own: name its class, by model=NAME"):
        sample(compose_sample(*settings))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("model=diffcsp", "last.ckpt is of the model 'mine', not of DiffCSP, which is 'diffcsp'"),
        ("model=paper", "last.ckpt is of the model 'mine', not of CryinGAN, which is 'cryingan'"),
        (
            "model._target_=tests.support.own_classes.MeanStructure",
            "MeanStructure does not extend cryingan.models.base",
        ),
        ("model._target_=tests.support.own_classes.Missing", "model._target_=tests.support.own_classes.Missing: "),
        ("model._target_=no_such_module.Model", "No module named 'no_such_module'"),
        ("model._target_=tests.support.own_classes.np", "own_classes.np: it is no class"),
    ],
)
def test_a_class_that_is_not_that_of_the_checkpoint_is_one_line(documented, tmp_path, named, said):
    from my_model import MyModel

    path = checkpoint_of(MyModel(CELL, SPECIES), tmp_path / "last.ckpt")
    with pytest.raises(CryinGANError, match=said) as caught:
        sample(compose_sample(named, f"checkpoint={path}", f"output={tmp_path / 'out'}"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_class_of_the_project_may_be_named_too(tmp_path):
    path = checkpoint_of(small_model("flow"), tmp_path / "last.ckpt")
    written = sample(compose_sample("model=flow", f"checkpoint={path}", "n=2", f"output={tmp_path / 'out'}"))
    assert len(ase.io.read(written, ":")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["model=flow", "rival=random", "data=li2o_licl"], "model: rival=random has no use for it"),
        (["model=flow", "upstream=x", "reference=y"], "model: upstream=x has no use for it"),
        (["model=flow", "model.steps=3", "checkpoint=x"], "model.steps: a model is sampled with the settings of its"),
        (["model=runs/x"], "model=runs/x: a run or a checkpoint is checkpoint=runs/x"),
        (["model=my_model.MyModel"], "a class is model._target_=my_model.MyModel"),
        (["model._target_=no_such.Model", "checkpoint=x"], "No module named 'no_such'"),
    ],
)
def test_what_has_no_use_for_a_class_says_so(arguments, said):
    result = call("sample.py", *arguments)
    assert result.returncode == 1
    assert re.fullmatch(f"sample.py: .*{said}.*\n", result.stderr)


@pytest.mark.parametrize(("has", "lacks"), [({}, "kind"), ({"kind": "mine"}, "settings_type")])
def test_what_an_own_model_lacks_is_named(has, lacks):
    with pytest.raises(CryinGANError, match=f"Lacking has no `{lacks}`"):
        type("Lacking", (GenerativeModel,), has)(CELL, SPECIES)


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
