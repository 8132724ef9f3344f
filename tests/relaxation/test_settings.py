"""How structures are relaxed: checked values, and configs that show the defaults."""

from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from cryingan.errors import CryinGANError
from cryingan.relaxation.optimizers import OPTIMIZERS
from cryingan.relaxation.settings import OPTIMIZERS as NAMES
from cryingan.relaxation.settings import RelaxSettings
from tests.support.paths import ROOT
from tests.support.relaxations import assert_same, here, quietly, rattled

CONFIGS = [ROOT / f"configs/relax/{name}.yaml" for name in OPTIMIZERS]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "bfgs"}, "unknown optimizer 'bfgs': use fire or cg"),
        ({"fmx": 0.1}, "unexpected keyword argument 'fmx'"),
        ({"fire": {"timestep": 1}}, "unexpected keyword argument 'timestep'"),
        ({"fmax": 0.0}, "must be positive"),
        ({"max_steps": -1}, "must be positive"),
        ({"max_steps": 2.5}, "max_steps=2.5 must be a whole number"),
        ({"frames": True}, "frames=True must be a whole number"),
        ({"max_force": "large"}, "max_force='large' must be a number"),
        ({"time_budget": 0}, "time_budget=0: it must be positive"),
    ],
)
def test_wrong_values_end_in_one_line(values, message):
    with pytest.raises(CryinGANError, match=message) as caught:
        RelaxSettings.from_mapping(values)
    assert "\n" not in str(caught.value)


def test_every_optimizer_has_its_name():
    assert tuple(OPTIMIZERS) == NAMES


def test_the_protocol_leaves_out_where_relaxations_run():
    settings = RelaxSettings(
        fmax=0.1, fire={"dt": 0.2}, backend="serial", processes=3, time_budget=60.0, progress=False
    )
    assert settings.protocol == RelaxSettings(fmax=0.1, fire={"dt": 0.2}).protocol
    assert RelaxSettings.from_mapping(settings.protocol).protocol == settings.protocol
    assert "processes" not in settings.protocol


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_show_the_defaults(path):
    config, defaults = OmegaConf.to_container(OmegaConf.load(path)), asdict(RelaxSettings(optimizer=path.stem))
    assert config == {name: value for name, value in defaults.items() if name != "fire" or path.stem == "fire"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_settings_of_relax(pair, path):
    config = OmegaConf.to_container(OmegaConf.load(path))
    results = quietly(rattled(1), pair, **{**config, "backend": "serial", "progress": False})
    assert_same(results, here(rattled(1), pair, optimizer=path.stem))
