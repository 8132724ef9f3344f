"""What a training began with: others are refused in its folder."""

import json
import shutil

import pytest

from cryingan.errors import CryinGANError
from data.interface import train_potential
from tests.support.potential_training import SMALL, system_of, train_settings

pytestmark = pytest.mark.usefixtures("barely_trained", "no_figures")


def test_work_of_another_training_is_refused(built, tmp_path):
    train_potential.train(train_settings(built, tmp_path, epochs=1))
    for changes in ({"seed": 1}, {"model": {**SMALL, "units": 5}}, {"test": 0.3}):
        with pytest.raises(CryinGANError, match=f"holds a training with other {next(iter(changes))}"):
            train_potential.train(train_settings(built, tmp_path, epochs=1, **changes))


def test_structures_that_came_later_change_nothing(built, tmp_path, capsys):
    less = tmp_path / "less"
    shutil.copytree(built, less)
    last = max(less.glob("structures_*/frames/*.npz"))
    last.rename(tmp_path / last.name)
    first = train_potential.train(train_settings(less, tmp_path, epochs=1, system=system_of(built)))
    kept = json.loads((first / "metrics.json").read_bytes())["sets"]
    (tmp_path / last.name).rename(last)
    again = train_potential.train(train_settings(less, tmp_path, epochs=1, system=system_of(built)))
    assert json.loads((again / "metrics.json").read_bytes())["sets"] == kept
    assert "1 structures came after" in capsys.readouterr().err


def test_relaxations_of_another_system_are_refused(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"holds relaxations of my pair, not of Li2O\(100\)\|LiCl\(100\)"):
        train_potential.train(train_settings(built, tmp_path, system="li2o_licl"))
    assert not (tmp_path / "work").exists()


def test_a_mistake_before_anything_is_trained_can_be_corrected(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"model: .*'big'"):
        train_potential.train(train_settings(built, tmp_path, model={"units": "big"}))
    with pytest.raises(CryinGANError, match=r"model: .*'unit'"):
        train_potential.train(train_settings(built, tmp_path, model={"unit": 4}))
    assert train_potential.train(train_settings(built, tmp_path, epochs=1)) == tmp_path / "pot"
    with pytest.raises(CryinGANError, match="holds a training with other seed"):
        train_potential.train(train_settings(built, tmp_path, epochs=1, seed=1))


@pytest.mark.parametrize("changed", [{"seed": 5}, {"test": 0.3}, {"validation": 0.3}])
def test_a_model_is_not_tested_on_what_it_was_trained_on_before(built, tmp_path, changed):
    first = train_potential.train(train_settings(built, tmp_path, epochs=1))
    further = {"start": str(first), "work": str(tmp_path / "w"), "folder": str(tmp_path / "f"), "epochs": 1}
    with pytest.raises(CryinGANError, match=r"was trained with seed=\d validation=[0-9.]+ test=[0-9.]+: give the same"):
        train_potential.train(train_settings(built, tmp_path, **further, **changed))
    train_potential.train(train_settings(built, tmp_path, **further))
    held_out = [json.loads((one / "metrics.json").read_bytes())["held_out"] for one in (first, tmp_path / "f")]
    assert held_out[0] == held_out[1]
