"""init=PATH: a new run from the weights of another one."""

import shutil

import pytest
import torch
import yaml

from cryingan.errors import CryinGANError
from cryingan.storage.checkpoint import read_checkpoint
from cryingan.structures.files import read_structures, write_structures
from cryingan.training.checkpoints import load_model
from cryingan.training.initial_weights import load_initial_weights
from tests.support.small_models import checkpoint_of, small_model
from train import train

QUICK = ("trainer.max_epochs=1", "~callbacks.quality", "~callbacks.structures")
NO_STEP = ("model.generator_learning_rate=0", "model.coordinate_learning_rate=0", "model.distance_learning_rate=0")


@pytest.fixture
def source(tiny, tmp_path):
    """The run folder of a generator."""
    train(tiny(*QUICK, f"run_dir={tmp_path / 'source'}"))
    return tmp_path / "source"


def weights(folder):
    return read_checkpoint(folder / "checkpoints/last.ckpt")["state_dict"]


def networks_only(state):
    others = ("running_", "num_batches", "means.")
    return {name: value for name, value in state.items() if not any(part in name for part in others)}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_a_run_starts_from_the_weights_of_another_one_with_other_settings_and_cell(tiny, tmp_path, source):
    crystals = read_structures(tiny().data.path)
    other = tmp_path / "strained.extxyz"
    write_structures(type(crystals)(crystals.fractional, crystals.cell * 1.02, crystals.species), other)
    changes = ["lambda=0.2", "pooling=max", "seed=5", "data.batch_size=6", f"data.path={other}"]
    train(tiny(*QUICK, *NO_STEP, *changes, f"init={source}", f"run_dir={tmp_path / 'tuned'}"))
    assert_equal(networks_only(weights(source)), networks_only(weights(tmp_path / "tuned")))
    content = read_checkpoint(tmp_path / "tuned/checkpoints/last.ckpt")
    assert content["init"]["path"] == str(source)
    assert content["epoch"] == 0
    assert yaml.safe_load((tmp_path / "tuned/config.yaml").read_text())["init"] == str(source)
    assert load_model(tmp_path / "tuned").hparams.cell == (crystals.cell * 1.02).tolist()


def test_optimisers_are_new(tiny, tmp_path, source):
    train(tiny(*QUICK, f"init={source}", f"run_dir={tmp_path / 'tuned'}"))
    steps = [
        {float(state["step"]) for optimizer in content["optimizer_states"] for state in optimizer["state"].values()}
        for content in (read_checkpoint(folder / "checkpoints/last.ckpt") for folder in (source, tmp_path / "tuned"))
    ]
    assert steps[0] == steps[1]


def test_a_resumed_run_does_not_start_again_even_when_the_other_one_is_deleted(tiny, tmp_path, source):
    settings = ["lambda=0.1", f"init={source}", *QUICK[1:]]
    train(tiny(*settings, f"run_dir={tmp_path / 'whole'}", "trainer.max_epochs=2"))
    train(tiny(*settings, f"run_dir={tmp_path / 'broken'}", "trainer.max_epochs=1"))
    shutil.rmtree(source)
    train(tiny(*settings, f"run_dir={tmp_path / 'broken'}", "trainer.max_epochs=2"))
    assert_equal(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    with pytest.raises(CryinGANError, match=r"init is null here and .*source in the checkpoint"):
        train(tiny(*settings, "init=null", f"run_dir={tmp_path / 'whole'}"))


def test_another_origin_of_a_run_from_scratch_is_refused(tiny, source):
    with pytest.raises(CryinGANError, match=r"init is .*source here and null in the checkpoint"):
        train(tiny(*QUICK, f"init={source}", f"run_dir={source}"))


def test_init_and_a_checkpoint_to_resume_from_exclude_each_other(tiny, tmp_path, source):
    both = [f"init={source}", f"resume={source}/checkpoints/last.ckpt", f"run_dir={tmp_path / 'new'}"]
    with pytest.raises(CryinGANError, match=r"init=.*source and resume=.*last.ckpt exclude each other"):
        train(tiny(*QUICK, *both))
    assert not (tmp_path / "new").exists()


def test_a_distance_discriminator_is_new_or_left_out_where_lambda_changes(tiny, tmp_path, source, capsys):
    train(tiny(*QUICK, *NO_STEP, "lambda=0", f"init={source}", f"run_dir={tmp_path / 'without'}"))
    train(tiny(*QUICK, *NO_STEP, f"init={tmp_path / 'without'}", f"run_dir={tmp_path / 'with'}"))
    assert "the distance discriminator is new" in capsys.readouterr().out
    kept = {name: value for name, value in networks_only(weights(source)).items() if "distances" not in name}
    assert_equal(kept, networks_only(weights(tmp_path / "without")))
    again = networks_only(weights(tmp_path / "with"))
    assert_equal(kept, {name: value for name, value in again.items() if "distances" not in name})
    assert again.keys() == networks_only(weights(source)).keys()


def test_replicas_start_from_the_same_weights(tiny, tmp_path, source):
    train(tiny(*QUICK, *NO_STEP, f"init={source}", "replicas=2", f"run_dir='{tmp_path}/r${{seed}}'"))
    assert_equal(networks_only(weights(tmp_path / "r1")), networks_only(weights(source)))
    assert_equal(networks_only(weights(tmp_path / "r2")), networks_only(weights(source)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.channels=5", r"source/checkpoints/last.ckpt has model.channels=4, here it is 5"),
        ("model.head_widths=[12,9]", r"has model.head_widths=\[12, 8\], here it is \[12, 9\]"),
        ("model.n_neighbors=3", "has model.n_neighbors=6, here it is 3"),
    ],
)
def test_what_does_not_fit_is_named(tiny, tmp_path, source, change, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*QUICK, change, f"init={source}", f"run_dir={tmp_path / 'tuned'}"))
    assert not (tmp_path / "tuned/config.yaml").exists()


def test_another_model_and_another_network_of_pairs_are_named(tmp_path):
    path = checkpoint_of(small_model("flow"), tmp_path / "last.ckpt")
    with pytest.raises(CryinGANError, match=r"last\.ckpt is of another model, flow, not diffcsp: a run starts from"):
        load_initial_weights(small_model("diffcsp"), str(path))
    with pytest.raises(CryinGANError, match=r"last\.ckpt has model\.hidden=8, here it is 16$"):
        load_initial_weights(small_model("flow", hidden=16), str(path))
    load_initial_weights(small_model("flow", steps=7), str(path))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("cdvae", {"latent": 5}),
        ("cdvae", {"encoder_hidden": 6}),
        ("unimat", {"width": 16}),
        ("crystens", {"cascade": False}),
    ],
)
def test_other_sizes_of_a_network_are_named(tmp_path, kind, change):
    path, (name, value) = checkpoint_of(small_model(kind), tmp_path / "last.ckpt"), *change.items()
    with pytest.raises(CryinGANError, match=rf"last\.ckpt has model\.{name}=\w+, here it is {value}$"):
        load_initial_weights(small_model(kind, **change), str(path))


@pytest.mark.parametrize("kind", ["unimat", "crystens"])
def test_a_new_run_finds_the_ranges_of_its_own_structures(tmp_path, kind):
    source, model = small_model(kind), small_model(kind)
    source.fit([0.2 + 0.5 * torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0))])
    source.fitted.fill_(True)
    load_initial_weights(model, str(checkpoint_of(source, tmp_path / "last.ckpt")))
    assert not model.fitted
    assert model.coordinates.least.tolist() == [0.0] * 3
    assert_equal(model.network.state_dict(), source.network.state_dict())


def test_a_fitted_model_has_no_weights_to_start_from(tmp_path):
    path = checkpoint_of(small_model("linear"), tmp_path / "last.ckpt")
    with pytest.raises(CryinGANError, match="linear has no weights to start from"):
        load_initial_weights(small_model("linear"), str(path))
    with pytest.raises(CryinGANError, match=r"is of another model, linear, not flow"):
        load_initial_weights(small_model("flow", prior="linear"), str(path))


def test_other_species_are_named(tiny, tmp_path, source):
    crystals = read_structures(tiny().data.path)
    species = tuple("S" if symbol == "O" else symbol for symbol in crystals.species)
    path = tmp_path / "sulfide.extxyz"
    write_structures(type(crystals)(crystals.fractional, crystals.cell, species), path)
    with pytest.raises(CryinGANError, match="is of Li4O4Cl2; the data have Li4S4Cl2"):
        train(tiny(*QUICK, f"data.path={path}", f"init={source}", f"run_dir={tmp_path / 'tuned'}"))


@pytest.mark.parametrize(("init", "said"), [("no/such", "init=no/such is not there"), ("docs", "holds no checkpoints")])
def test_a_path_that_is_no_run_is_named(tiny, init, said):
    with pytest.raises(CryinGANError, match=said):
        train(tiny(*QUICK, f"init={init}"))


def test_the_refusal_of_another_setting_names_init(tiny, tmp_path, source):
    with pytest.raises(CryinGANError, match=r"lambda is 0.01 here .*init=.*last.ckpt"):
        train(tiny(*QUICK, "lambda=0.01", f"resume={source}/checkpoints/last.ckpt", f"run_dir={tmp_path / 'new'}"))
