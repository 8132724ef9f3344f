"""How a training of an M3GNet begins and how it ends."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms

from cryingan.errors import CryinGANError
from data.interface import train_potential
from data.interface.potential_training.frames import LabelledFrames
from data.interface.potential_training.record import DivergedError, Record
from tests.support.callbacks import InterruptedRun
from tests.support.potential_training import train_settings

pytestmark = pytest.mark.usefixtures("barely_trained", "no_figures")


def test_energies_of_elements():
    from data.interface.potential_training.model import energies_of_elements

    def of(formulas, energies):
        atoms = [Atoms(formula) for formula in formulas]
        frames = LabelledFrames(atoms, np.array(energies), [], None, np.array(formulas), {})
        return energies_of_elements(frames, frames.energies, ("H", "Li", "O", "Cl"))

    several = of(["Li2O", "LiCl", "Li3OCl", "O2"], [2 * -2 - 5, -2 - 3, 3 * -2 - 5 - 3, -10])
    np.testing.assert_allclose(several, [0, -2, -5, -3], atol=1e-9)
    np.testing.assert_allclose(of(["Li2O", "Li2O"], [-8.0, -10.0]), [0, -3, -3, 0], atol=1e-9)


def test_wrong_model_or_folder_is_named(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"model: .*width"):
        train_potential.train(train_settings(built, tmp_path, model={"width": 3}))
    with pytest.raises(CryinGANError, match="threebody_cutoff above 0 and at most cutoff"):
        train_potential.train(train_settings(built, tmp_path / "b", model={"cutoff": 3.0, "threebody_cutoff": 4.0}))
    with pytest.raises(CryinGANError, match="is not there: build the interface first"):
        train_potential.train(train_settings(tmp_path / "nothing", tmp_path))


def test_divergence_ends_in_one_line(built, tmp_path, capsys):
    made = train_settings(built, tmp_path, trials=[[1e30, 4], [1e31, 4]])
    with pytest.raises(CryinGANError, match="all trials diverged: lower the learning rates"):
        train_potential.train(made)
    assert "training diverged in epoch 1: lower learning_rate=1e+30" in capsys.readouterr().err
    assert not made.output.exists()


def test_validation_loss_that_is_no_number_ends_a_training():
    record = Record((1.0, 1.0, 0.0), "potential")
    metrics = {"train_Energy_MAE": 0.1, "train_Force_MAE": 0.1, "val_Energy_MAE": float("nan"), "val_Force_MAE": 0.1}
    trainer = SimpleNamespace(callback_metrics=metrics, optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])])
    record.on_train_epoch_start(trainer, None)
    with pytest.raises(DivergedError, match="validation loss is not a number after epoch 1"):
        record.on_train_epoch_end(trainer, None)
    assert not record.best


def test_time_limit_ends_a_training_which_a_later_call_resumes(built, tmp_path):
    folder = train_potential.train(train_settings(built, tmp_path, minutes=1e-6))
    first = json.loads((folder / "metrics.json").read_bytes())
    assert len(first["training"]["rows"]) == 1
    folder = train_potential.train(train_settings(built, tmp_path))
    second = json.loads((folder / "metrics.json").read_bytes())
    assert len(second["training"]["rows"]) == 2
    assert second["training"]["rows"][0] == first["training"]["rows"][0]
    with pytest.raises(CryinGANError, match="time is over before the trials are"):
        train_potential.train(train_settings(built, tmp_path, trials=[[0.02, 4]], minutes=1e-6))


def test_interrupted_training_resumes_bit_by_bit(built, tmp_path, monkeypatch):
    whole = train_potential.train(train_settings(built, tmp_path / "whole", epochs=3))
    made = train_settings(built, tmp_path / "cut", epochs=3)
    from data.interface.potential_training.training import PotentialTraining

    step = PotentialTraining.training_step

    def dies(self, batch, number):
        if self.current_epoch == 2:
            raise InterruptedRun
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(PotentialTraining, "training_step", dies)
        with pytest.raises(InterruptedRun):
            train_potential.train(made)
    assert not made.output.exists()
    cut = train_potential.train(made)
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (whole, cut)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    rows = [json.loads((folder / "metrics.json").read_bytes())["training"]["rows"] for folder in (whole, cut)]
    plain = [[{k: v for k, v in row.items() if k != "seconds"} for row in one] for one in rows]
    assert plain[0] == plain[1]
