"""A trained potential with its card, from a build, a user's file, or another potential."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from cryingan.energies.data_card import default_potential, read_data_card
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from data.command import run_command
from data.interface import add_potential, compare_potentials, train_potential
from data.interface.potential_training.frames import frames_of_file, frames_of_relaxations
from data.interface.potential_training.settings import TrainPotentialSettings
from data.module import StructureData
from tests.support.interfaces import RELAX
from tests.support.potential_training import TINY, labelled_file, system_of, train_settings

pytestmark = pytest.mark.usefixtures("barely_trained")


def test_potential_with_its_card(built, tmp_path):
    made = train_settings(built, tmp_path, trials=[[0.005, 4], [0.01, 2]], trial_epochs=1)
    folder = train_potential.train(made)
    metrics = json.loads((folder / "metrics.json").read_bytes())
    potential = load_potential("m3gnet", str(folder))
    assert potential.card.hash == metrics["hash"]
    assert potential.card.name == "M3GNet-pair"
    assert sum((folder / name).stat().st_size for name in ("model.pt", "state.pt")) < 2**20

    frames = frames_of_relaxations(built)
    held_out = frames.of(metrics["held_out"])
    energies, forces = potential.evaluate(held_out.atoms)
    errors = metrics["errors"]["test"]
    assert errors["energy_mae"] == pytest.approx(np.abs(energies - held_out.energies).mean() / 31, rel=1e-6)
    difference = np.concatenate(forces) - np.concatenate(held_out.forces)
    assert errors["force_mae"] == pytest.approx(np.abs(difference).mean(), rel=1e-6)
    # Lightning's validation during training, through matgl's own `Potential`, of the weights that were written:
    best = metrics["training"]["best"]
    assert metrics["errors"]["validation"]["force_mae"] == pytest.approx(best["validation/force_mae"], rel=1e-3)
    assert metrics["errors"]["validation"]["energy_mae"] == pytest.approx(best["validation/energy_mae"], rel=1e-3)

    assert [(one["learning_rate"], one["epochs"]) for one in metrics["trials"]] == [(0.005, 1), (0.01, 1)]
    lowest = min(metrics["trials"], key=lambda one: one["best"]["validation/loss"])
    assert [one["chosen"] for one in metrics["trials"]] == [one is lowest for one in metrics["trials"]]
    assert metrics["training"]["learning_rate"] == lowest["learning_rate"]
    readme = (folder / "README.md").read_text()
    assert f"{lowest['best']['validation/loss']:.4f} (chosen)" in readme
    assert "'trials=[[0.005,4],[0.01,2]]' trial_epochs=1" in readme
    assert str(tmp_path) not in readme
    for name in ("learning_curves.png", "parity.png"):
        assert (folder / name).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.usefixtures("no_figures")
def test_own_file_with_stresses_and_trajectories(tmp_path):
    path = labelled_file(tmp_path / "own.extxyz")
    frames = frames_of_file(path, "trajectory")
    read = ase.io.read(path, ":")
    np.testing.assert_allclose(frames.energies, [atoms.get_potential_energy() for atoms in read])
    np.testing.assert_allclose(frames.stresses, [atoms.get_stress(voigt=False) for atoms in read])
    assert sorted(set(frames.structures)) == [f"run{i}" for i in range(5)]
    assert len(set(frames_of_file(path).structures)) == 10
    made = TrainPotentialSettings(labelled=str(path), structure_key="trajectory", folder=str(tmp_path / "mine"), **TINY)
    folder = train_potential.train(made)
    metrics = json.loads((folder / "metrics.json").read_bytes())
    assert metrics["sets"]["test"] == {"structures": 1, "frames": 2, "origins": {}}
    assert metrics["weights"]["stress"] == 0.1
    best = metrics["training"]["best"]
    parts = [best[f"validation/{key}_mae"] for key in ("energy", "force", "stress")]
    assert best["validation/loss"] == pytest.approx(parts[0] + parts[1] + 0.1 * parts[2], rel=1e-5)
    assert "GPa" in (folder / "README.md").read_text()


@pytest.mark.usefixtures("no_figures")
def test_trained_further_begins_where_the_first_ended(tmp_path):
    """Labels are a model's own, by matgl's calculator, at another level of energy: there is nothing to learn."""
    from matgl import load_model
    from matgl.ext.ase import PESCalculator

    first = train_potential.train(
        TrainPotentialSettings(
            labelled=str(labelled_file(tmp_path / "a.extxyz")), folder=str(tmp_path / "a"), **{**TINY, "epochs": 1}
        )
    )
    calculator = PESCalculator(load_model(str(first)), stress_unit="eV/A3", use_voigt=True)
    frames = []
    for atoms in ase.io.read(tmp_path / "a.extxyz", ":"):
        results = {"energy": calculator.get_potential_energy(atoms) + 0.5 * atoms.symbols.count("O")}
        results |= {"forces": calculator.get_forces(atoms), "stress": calculator.get_stress(atoms)}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    ase.io.write(tmp_path / "b.extxyz", frames, format="extxyz")
    folder = train_potential.train(
        TrainPotentialSettings(
            labelled=str(tmp_path / "b.extxyz"),
            folder=str(tmp_path / "b"),
            start=str(first),
            learning_rate=1e-9,
            **{**TINY, "epochs": 1},
        )
    )
    metrics = json.loads((folder / "metrics.json").read_bytes())
    best, start = metrics["training"]["best"], load_potential("m3gnet", str(first)).card
    assert metrics["start"] == {"name": start.name, "hash": start.hash}
    size = max(abs(atoms.get_stress()).max() for atoms in frames) * 160.2
    assert best["validation/stress_mae"] < 1e-3 * size
    assert best["validation/force_mae"] < 1e-5
    assert best["validation/energy_mae"] < 1e-5
    assert f"further from {start.name} (SHA-256 {start.hash})" in " ".join((folder / "README.md").read_text().split())


@pytest.mark.usefixtures("no_figures")
def test_a_card_tells_the_trainings_before(built, tmp_path):
    def trained(number, **how):
        folders = {"work": str(tmp_path / f"work {number}"), "folder": str(tmp_path / f"potential {number}")}
        folder = train_potential.train(train_settings(built, tmp_path, **folders, epochs=1, **how))
        return folder, json.loads((folder / "metrics.json").read_bytes())

    first, one = trained(1, trials=[[0.005, 4], [0.01, 2]])
    second, two = trained(2, start=str(first), learning_rate=0.002)
    third, three = trained(3, start=str(second), learning_rate=0.001)
    assert one["earlier"] == []
    assert [stage["hash"] for stage in three["earlier"]] == [one["hash"], two["hash"]]
    assert [stage["trials"] for stage in three["earlier"]] == [one["trials"], []]
    readme = (third / "README.md").read_text()
    for metrics in (one, two):
        rate, best = metrics["training"]["learning_rate"], metrics["training"]["best"]
        frames = f"{metrics['sets']['training']['structures']} | {metrics['sets']['training']['frames']}"
        assert f"| {metrics['hash'][:12]} | {frames} | {rate:g} |" in readme
        assert f"{best['validation/force_mae'] * 1000:.1f}" in readme
    assert readme.count("(chosen)") == 1
    assert f"tried for {one['hash'][:12]}:" in readme

    shutil.copy(first / "metrics.json", second)  # of other weights
    assert trained(4, start=str(second), learning_rate=0.001)[1]["earlier"] == []


@pytest.mark.usefixtures("no_figures")
def test_potential_of_a_set_relaxes_its_samples(built, tmp_path):
    """Trained in the folder of the set and added to its card, it is taken wherever no other is given."""
    from callbacks.relax_samples import RelaxSamples

    shutil.copytree(built.parents[1], tmp_path / "copy")
    copy = tmp_path / "copy" / "set"
    folder = train_potential.train(train_settings(copy / "work", tmp_path, folder=str(copy / "potential")))
    datamodule = StructureData(copy / "pair.extxyz.gz")
    trainer = SimpleNamespace(datamodule=datamodule, default_root_dir=str(tmp_path), max_epochs=2)
    model = SimpleNamespace(required_temperature=lambda _: {})
    with pytest.raises(CryinGANError, match="needs a potential"):
        RelaxSamples(None, {}).setup(trainer, model, "fit")
    made = add_potential.AddPotentialSettings(system_of(copy / "work"), relax=RELAX, n=3, folder=str(copy))
    add_potential.add(made)
    callback = RelaxSamples(None, {})
    callback.setup(trainer, model, "fit")
    assert callback.potential == default_potential(datamodule.path) == {"kind": "m3gnet", "path": str(folder)}
    card = load_potential(**callback.potential).card
    assert read_data_card(datamodule.path).cutoff(card) is not None
    assert RelaxSamples({"kind": "pair"}, {}).potential == {"kind": "pair"}


def test_commands_end_in_one_line(monkeypatch):
    arguments = [sys.executable, "-m", "data.interface.train_potential", "system=nothing"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    monkeypatch.setattr(sys, "argv", ["compare_potentials", "system=nothing"])
    with pytest.raises(SystemExit, match=r"potential.path, which is .*nothing/potential"):
        run_command(compare_potentials.compare, compare_potentials.CompareSettings)
