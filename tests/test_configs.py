"""Configurations hold what the code holds: every YAML file against the dataclass or the signature it configures."""

import inspect
from dataclasses import MISSING, asdict, fields, is_dataclass
from importlib import import_module

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf

from configs.entry import CONFIGS
from configs.schema import CHOSEN_BY, EvaluateKeys, SampleKeys, TrainerKeys, plain, train_schema
from cryingan.errors import CryinGANError
from cryingan.models.registry import MODELS
from cryingan.relaxation.settings import RelaxSettings
from tests.conftest import compose

SCRIPTS = {"sample": SampleKeys, "evaluate": EvaluateKeys}
FILES = {"cryingan": "paper"}
"""Configurations whose names are not those of their models."""
GROUPS = {"model", "data", "potential", "evaluate", "benchmark", "relax"}
FIXED = {"kind", "_target_", "_convert_"}


def options(group):
    return sorted(path.stem for path in (CONFIGS / group).glob("[!_]*.yaml"))


def read(path):
    return {key: value for key, value in (yaml.safe_load(path.read_text()) or {}).items() if key != "defaults"}


def default_of(one):
    if one.default_factory is not MISSING:
        value = one.default_factory()
        return asdict(value) if is_dataclass(value) else value
    return None if one.default is MISSING else one.default


def defaults_of(settings):
    """Default of every field by its name; None where there is none."""
    return {one.name: default_of(one) for one in fields(settings)}


def assert_same_values(values, defaults):
    """What a YAML file says of keys without an interpolation is what the dataclass says."""
    assert set(values) <= set(defaults) | FIXED
    for key, value in values.items():
        if key in FIXED - set(defaults) or value == "???" or "${" in str(value):
            continue
        expected = defaults[key]
        assert value == (list(expected) if isinstance(expected, tuple) else expected), key


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        *((f"model/{FILES.get(kind, kind)}", entry.settings) for kind, entry in MODELS.items()),
        ("data/_base", CHOSEN_BY["data"]["data.module.StructureData"]),
        ("relax/fire", RelaxSettings),
        *((f"potential/{kind}", settings) for kind, settings in CHOSEN_BY["potential"].items()),
        *((f"benchmark/{kind}", settings) for kind, settings in CHOSEN_BY["benchmark"].items()),
    ],
)
def test_a_groups_first_file_holds_the_defaults_of_its_dataclass(path, settings):
    values, defaults = read(CONFIGS / f"{path}.yaml"), defaults_of(settings)
    assert_same_values(values, defaults)
    hidden = {"frames"} if settings is RelaxSettings else set()  # a build's own
    assert set(defaults) - set(values) <= hidden


def test_the_trainers_keys_are_typed():
    values, defaults = read(CONFIGS / "trainer/auto.yaml"), defaults_of(TrainerKeys)
    assert_same_values(values, {**defaults, **{key: defaults[key].name for key in ("precision", "linear_algebra")}})
    assert set(values) == set(defaults)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scripts_own_keys_hold_the_defaults_of_its_dataclass(name):
    values, defaults = read(CONFIGS / f"{name}.yaml"), defaults_of(SCRIPTS[name])
    own = {key: getattr(value, "name", value) for key, value in defaults.items() if key not in GROUPS}
    assert_same_values(values, own)
    assert set(values) == set(own)


def test_the_training_configs_own_keys_hold_the_defaults_of_its_schema():
    values = read(CONFIGS / "train.yaml")
    schema = OmegaConf.to_container(train_schema(), resolve=False, enum_to_str=True)
    assert_same_values(values, {key: schema[key] for key in values})


@pytest.mark.parametrize("option", options("callbacks"))
def test_a_callbacks_keys_are_arguments_and_the_first_values_its_defaults(option):
    config = compose(f"callbacks={option}", "data=li2o_licl")
    for name, node in read(CONFIGS / f"callbacks/{option}.yaml").items():
        target = config.callbacks[name]["_target_"]
        module, _, attribute = target.rpartition(".")
        signature = inspect.signature(getattr(import_module(module), attribute)).parameters
        assert set(node) - FIXED <= set(signature), target
        if "_target_" in node:
            for key, value in node.items():
                default = signature[key].default if key in signature else inspect.Parameter.empty
                if default is not inspect.Parameter.empty and "${" not in str(value):
                    assert value == (list(default) if isinstance(default, tuple) else default), f"{target}: {key}"


def test_a_model_brings_its_length_and_batches_and_the_user_has_the_last_word():
    for kind, batch, epochs, between in (
        ("diffcsp", 4, 1000, 5),
        ("flow", 4, 1000, 5),
        ("cdvae", 8, 1000, 5),
        ("unimat", 8, 1000, 5),
        ("crystens", 8, 1000, 5),
        ("linear", 32, 1, 1),
    ):
        config = compose(f"model={kind}", "data=lsc_lco")
        trainer = config.trainer
        assert (config.data.batch_size, trainer.max_epochs, trainer.check_val_every_n_epoch) == (batch, epochs, between)
    own = ["trainer=cpu", "trainer.max_epochs=7", "data.batch_size=9", "callbacks.quality.n=5"]
    config = compose("model=diffcsp", *own)
    assert (config.trainer.max_epochs, config.data.batch_size, config.callbacks.quality.n) == (7, 9, 5)
    assert compose("experiment=diffcsp_small").data.batch_size == 8
    for others in (["model=diffcsp", "preset=null"], ["model=paper"]):
        assert (compose(*others).trainer.max_epochs, compose(*others).data.batch_size) == (100_000, 32)


def test_the_default_model_begins_with_the_linear_model_and_stays_short():
    config = compose("data.path=set.extxyz")
    assert (config.model.warm_start, config.model.sites, config.trainer.max_epochs) == ("linear", True, 100)
    assert config.callbacks.quality.n >= 100  # or best.ckpt would follow chance
    paper = compose("data.path=set.extxyz", "model=paper")
    assert plain(paper)["model"] == {
        **defaults_of(MODELS["cryingan"].settings),
        **{key: plain(paper)["model"][key] for key in ("_target_", "pooling", "warm_start")},
    }


@pytest.mark.parametrize("group", ["data", "model", "trainer", "callbacks", "potential", "relax", "logger"])
def test_every_option_composes_with_its_types(group):
    for option in options(group):
        more = ["data.path=set.extxyz"] if option.startswith("dismai") else []
        settings = plain(compose(f"{group}={option}", *more))
        assert settings["model"]["seed"] == settings["seed"]
        assert settings["model"].get("distance_weight", settings["lambda"]) == settings["lambda"]


def test_a_number_in_place_of_a_list_is_refused_with_the_list():
    with pytest.raises(CryinGANError, match=r"model\.sigma_max=0\.05: it must be a list: \[0\.05\]"):
        plain(compose("model=diffcsp", "model.sigma_max=0.05"))


@pytest.mark.parametrize("option", options("experiment"))
def test_every_experiment_composes(option):
    assert plain(compose(f"experiment={option}"))["trainer"]["max_epochs"] > 0


@pytest.mark.parametrize("option", options("experiment"))
def test_the_last_epoch_can_be_the_best_by_its_validation(option):
    """Learning rates have fallen by then, and best.ckpt follows the loss of held-out structures."""
    settings = compose(f"experiment={option}")
    trainer = settings.trainer
    if get_class(settings.model._target_).held_out_loss:
        assert trainer.max_epochs % trainer.check_val_every_n_epoch == 0
