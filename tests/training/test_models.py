"""Models besides CryinGAN through train.py: they resume bit for bit, have names, and refuse keys that they lack."""

import csv
import math
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
import pytest

from configs.models import name_after_model
from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.crystals import Crystals
from cryingan.structures.files import write_structures
from cryingan.training.checkpoints import load_model
from tests.conftest import compose
from tests.support.callbacks import InterruptedRun
from tests.support.checkpoints import assert_same
from tests.support.small_models import GAN, OVERRIDES
from train import train

QUICK = (
    "trainer.accelerator=cpu",
    "trainer.max_epochs=4",
    "trainer.check_val_every_n_epoch=1",
    "logger=csv",
    "threads=1",
)
FEW = ("callbacks.quality.n=4", "callbacks.quality.every_n_epochs=2", "callbacks.structures.n=2", "data.batch_size=4")
NO_FIGURES = ("callbacks.structures.pictures=0", "~callbacks.summary")  # half of the time of so short a run
SHOWN = {"linear": ("explained", 0), "comb": ("score_difference", -2), "cgcnn": ("score_difference", -2)}
"""What a model logs in place of its loss, and what it is larger than."""
AS_ANOTHER = {
    ("comb", "StopAt"),
    ("cgcnn", "StopAfter"),
    ("comb from linear", "StopAfter"),
    ("cgcnn from linear", "StopAt"),
    ("unimat", "StopAfter"),
    ("crystens", "StopAt"),
}
"""What models that train as another one need not show each."""
MODELS = [
    *OVERRIDES.items(),
    (
        "flow of linear",
        (*OVERRIDES["flow"], "model.prior=linear", "model.sites=true", "model.ema=0.9", "model.schedule=cosine"),
    ),
    (
        "cryingan from linear",
        (*GAN, "model.discriminator_widths=[4]", "model.warm_start=linear", "model.sites=true", "model.ema=0.9"),
    ),
    *((f"{name} from linear", (*OVERRIDES[name], "model.warm_start=linear")) for name in ("comb", "cgcnn")),
]


@pytest.fixture(scope="module")
def config(crystal_file):
    """A function from overrides to the config of a quick run of structures that share their sites."""

    def composed(*overrides, figures=NO_FIGURES):
        return compose(f"data.path={crystal_file}", *QUICK, *FEW, *figures, *overrides)

    return composed


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A function from overrides to the folder of a run without a stop, trained once."""

    @cache
    def run(*overrides):
        folder = tmp_path_factory.mktemp("whole")
        train(config(*overrides, f"run_dir={folder}"))
        return folder

    return run


@pytest.mark.parametrize(
    ("overrides", "stopper", "values"),
    [
        pytest.param(overrides, *stop, id=f"{name} {stop[0]}")
        for name, overrides in MODELS
        for stop in (("StopAfter", {"epoch": 1}), ("StopAt", {"epoch": 2, "batch": 1}))
        if (name, stop[0]) not in AS_ANOTHER
    ],
)
def test_resumes_bit_for_bit(config, whole, tmp_path, overrides, stopper, values):
    run_dir = tmp_path / "broken"
    values = values | ({"run_dir": run_dir} if stopper == "StopAt" else {})
    stop = [f"+callbacks.stop.{key}={value}" for key, value in values.items()]
    with pytest.raises(InterruptedRun):
        train(
            config(
                *overrides, f"run_dir={run_dir}", f"+callbacks.stop._target_=tests.support.callbacks.{stopper}", *stop
            )
        )
    train(config(*overrides, f"run_dir={run_dir}"))
    assert_same(whole(*overrides) / "checkpoints/last.ckpt", run_dir / "checkpoints/last.ckpt")
    assert (whole(*overrides) / "metrics.csv").read_bytes() == (run_dir / "metrics.csv").read_bytes()


def test_cosine_schedule_falls_to_the_least_rate_and_goes_on_with_more_epochs(config, tmp_path):
    overrides = (*OVERRIDES["flow"], "model.schedule=cosine", "model.learning_rate=0.01", f"run_dir={tmp_path}")
    for epochs in (4, 8):
        train(config(*overrides, "model.least_learning_rate=0.001", f"trainer.max_epochs={epochs}"))
    with (tmp_path / "metrics.csv").open() as file:
        rates = [float(row["train/learning_rate"]) for row in csv.DictReader(file)]
    expected = [0.001 + 0.009 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert rates[:4] == pytest.approx(expected)
    assert rates[5:] == pytest.approx([0.001 + 0.009 * (1 + math.cos(math.pi * k / 8)) / 2 for k in range(5, 8)])


@pytest.mark.parametrize("kind", OVERRIDES)
def test_trains_logs_and_samples(config, tmp_path, kind):
    train(config(*OVERRIDES[kind], f"run_dir={tmp_path}", figures=()))
    assert {"summary.json", "training.png"} <= {path.name for path in tmp_path.iterdir()}
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    shown, least = SHOWN.get(kind, ("loss", 0))
    assert all(least < float(row[f"train/{shown}"]) < 2 for row in rows)
    assert any(row[f"val/{shown}"] for row in rows)
    model = load_model(tmp_path)
    assert model.kind == kind
    samples = ase.io.read(tmp_path / "samples/epoch_000004.extxyz")  # of an untrained one, which may be too near
    assert tuple(samples.symbols) == model.sample(1, seed=1).species


@pytest.mark.parametrize("kind", OVERRIDES)
def test_folder_and_loggers_have_the_models_name(kind, tmp_path):
    values = compose("data.path=set.extxyz", *OVERRIDES[kind], "logger=wandb")
    name_after_model(values)
    pools = kind == "comb"
    assert values["run_dir"] == f"runs/set/{kind}_avg_seed1" if pools else f"runs/set/{kind}_seed1"
    assert values["logger"]["wandb"]["name"] == Path(values["run_dir"]).name
    own = {f"model={kind}", *(["pooling=avg"] if pools else [])}
    assert set(values["logger"]["wandb"]["tags"]) == {"set", "seed=1", *own}
    cryingan = compose("data.path=set.extxyz", "logger=wandb")
    name_after_model(cryingan)
    assert cryingan["run_dir"] == "runs/set/lambda0.05_avg_seed1"


@pytest.mark.parametrize("key", ["lambda=0.1", "pooling=max", "replicas=2", "lambdas=[0,0.1]"])
@pytest.mark.parametrize("kind", ["flow", "comb", "cgcnn"])
def test_keys_of_cryingan_are_refused(kind, key, monkeypatch):
    name, _, value = key.partition("=")
    monkeypatch.setattr("configs.models.given", lambda: {name: value})
    values = compose("data.path=set.extxyz", f"model={kind}", key)
    if (kind, name) == ("comb", "pooling"):
        name_after_model(values)
        assert values["run_dir"] == "runs/set/comb_max_seed1"
        assert values["model"]["pooling"].name == "max"
        return
    with pytest.raises(CryinGANError, match=f"{name}: the model {kind} has none"):
        name_after_model(values)


def test_another_model_does_not_resume_the_run(config, tmp_path):
    train(config(*OVERRIDES["flow"], f"run_dir={tmp_path}", "trainer.max_epochs=1"))
    with pytest.raises(
        CryinGANError, match=r"last\.ckpt is of another model, flow, not diffcsp; choose another run_dir"
    ):
        train(config(*OVERRIDES["diffcsp"], f"run_dir={tmp_path}"))


def test_settings_of_the_sampler_may_change_when_a_run_resumes(config, tmp_path):
    """Training does not depend on them: the weights are those of a run that always had them."""
    resumed, whole = tmp_path / "resumed", tmp_path / "whole"
    train(config(*OVERRIDES["flow"], f"run_dir={resumed}", "trainer.max_epochs=1"))
    for folder in (resumed, whole):
        changed = ("model.steps=3", "model.heun=true", f"run_dir={folder}", "trainer.max_epochs=2")
        train(config(*OVERRIDES["flow"], *changed))
    found, expected = (read_checkpoint(folder / "checkpoints/last.ckpt") for folder in (resumed, whole))
    assert found["hyper_parameters"] == expected["hyper_parameters"]
    assert all(value.equal(expected["state_dict"][name]) for name, value in found["state_dict"].items())
    with pytest.raises(CryinGANError, match=r"belongs to other settings: model\.hidden is 16 here and 8"):
        train(config(*OVERRIDES["flow"], "model.hidden=16", f"run_dir={resumed}"))


def test_a_run_without_held_out_structures(config, tmp_path):
    train(config(*OVERRIDES["flow"], f"run_dir={tmp_path}", "data.validation=0"))
    assert "val/loss" not in (tmp_path / "metrics.csv").read_text()


def test_sets_without_common_sites_end_in_one_line(tmp_path):
    anywhere = np.random.default_rng(0).random((20, 6, 3))
    path = tmp_path / "glass.extxyz"
    write_structures(Crystals(anywhere, 9 * np.eye(3), ("Li", "Cl", "Li", "O", "Cl", "Li")), path)
    with pytest.raises(CryinGANError, match="the linear model needs structures that share most of their sites"):
        train(compose(f"data.path={path}", *QUICK, "model=linear", f"run_dir={tmp_path / 'run'}"))
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_not_a_number_stops_the_training(config, tmp_path, monkeypatch):
    from cryingan.models.flow.flow import Flow

    monkeypatch.setattr(Flow, "example", lambda self, x, shares, source: (x, shares, x * float("nan")))
    monkeypatch.setattr(Flow, "on_fit_start", lambda self: None)
    with pytest.raises(CryinGANError, match="loss, gradient_norm not finite in epoch 0, batch 0"):
        train(config(*OVERRIDES["flow"], f"run_dir={tmp_path}"))
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_average_travels_in_checkpoints(config, tmp_path):
    train(config(*OVERRIDES["flow"], "model.ema=0.9", f"run_dir={tmp_path}"))
    names = read_checkpoint(tmp_path / "checkpoints/last.ckpt")["state_dict"]
    assert any(name.startswith("averaged.module.") for name in names)


def test_a_run_without_callbacks(crystal_file, tmp_path):
    """The settings of callbacks in the model's preset need none."""
    quick = (*QUICK, *OVERRIDES["unimat"], "trainer.max_epochs=1")
    train(compose(f"data.path={crystal_file}", *quick, "callbacks=none", f"run_dir={tmp_path}"))
    assert (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "samples").exists()
