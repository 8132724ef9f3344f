"""The settings of a training."""

import shlex

import pytest

from cryingan.errors import CryinGANError
from data.command import read_settings
from data.interface.potential_training.settings import TrainPotentialSettings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either system=NAME or labelled"),
        (["system=a", "labelled=b"], "give either system=NAME or labelled"),
        (["labelled=b"], "labelled=... needs folder"),
        (["system=a", "learning_rate=0"], "learning_rate must be above 0"),
        (["system=a", "trials=[3]"], r"pairs such as \[\[0.005,4\],\[0.002,4\]\]"),
        (["system=a", "weights={energy: 1, force: 1, stress: -1}"], "need a weight"),
        (["system=a", "epochs=0"], "must be at least 1"),
        (["system=a", "speed=1"], "speed"),
    ],
)
def test_wrong_setting_is_named(arguments, message):
    with pytest.raises(CryinGANError, match=message):
        read_settings(arguments, TrainPotentialSettings)


@pytest.mark.parametrize(
    "given",
    [
        {"system": "li2o_licl"},
        {"system": "my pair.yaml", "name": "it's mine", "learning_rate": 1e-3, "trials": [[0.005, 4], [0.002, 8]]},
        {"system": "a", "weights": {"energy": 2.0, "force": 1.0, "stress": 0.0}, "model": {"units": 16, "cutoff": 4.5}},
        {"labelled": "a b.extxyz", "folder": "my potentials/one", "structure_key": "run", "start": "other"},
    ],
)
def test_the_command_that_is_recorded_gives_the_same_settings(given):
    made = TrainPotentialSettings(**given, work="elsewhere", minutes=3.0)
    words = shlex.split(made.command)
    assert words[:3] == ["python", "-m", "data.interface.train_potential"]
    assert read_settings(words[3:], TrainPotentialSettings) == TrainPotentialSettings(**given)


def test_without_a_folder_it_is_written_beside_the_relaxations(built):
    assert TrainPotentialSettings(system="li2o_licl", relaxations=str(built)).output == built.parent / "potential"
    assert TrainPotentialSettings(system="li2o_licl").output.parts[-2:] == ("li2o_licl", "potential")
