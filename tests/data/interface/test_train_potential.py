import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import cryingan.potentials.m3gnet.potential
from cryingan.energies.data_card import default_potential, read_data_card
from cryingan.errors import CryinGANError
from cryingan.potentials.potential import load_potential
from cryingan.relaxation.trajectory import read_frames
from data.command import read_settings, run_command
from data.interface import add_potential, compare_potentials, extend_frames, train_potential
from data.interface.potential_training.comparison import agreement, relaxations, shifted
from data.interface.potential_training.errors import spearman_interval
from data.interface.potential_training.frames import LabelledFrames, frames_of_file, frames_of_relaxations, split
from data.interface.potential_training.record import DivergedError, Record
from data.interface.potential_training.settings import TrainPotentialSettings
from tests.conftest import random_crystals
from tests.data.interface.test_build import POTENTIAL, RELAX, build_pair
from tests.support.callbacks import InterruptedRun

SMALL = {"units": 4, "blocks": 1, "cutoff": 3.5, "threebody_cutoff": 2.5, "max_n": 2, "max_l": 2}
TINY = {"model": SMALL, "epochs": 2, "validation": 0.2, "test": 0.2, "device": "cpu"}
STRUCTURES, FRAMES = 6, 3


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder of the relaxations of a built interface of 31 atoms."""
    return build_pair(tmp_path_factory.mktemp("built"), STRUCTURES, FRAMES) / "set" / "work"


@pytest.fixture(autouse=True)
def barely_trained(monkeypatch):
    """Models that have learned next to nothing can still be told from those of the other message convention."""
    monkeypatch.setattr(cryingan.potentials.m3gnet.potential, "TOLERANCE", 1e-9)


def system_of(built):
    return str(built.parents[1] / "pair.yaml")


def settings(built, tmp_path, **changes):
    given = {
        "system": system_of(built),
        "relaxations": str(built),
        "folder": str(tmp_path / "pot"),
        "work": str(tmp_path / "work"),
    }
    return TrainPotentialSettings(**{**given, **TINY, **changes})


def labelled(path, n=10, stress=True, seed=0, **changes):
    """A file of structures of two compositions with energies, forces and stresses that depend on the positions."""
    rng, frames = np.random.default_rng(seed), []
    for number in range(n):
        species = ("Li", "O", "Cl", "Li") if number % 2 else ("Li", "Cl", "Cl", "O", "Li")
        [atoms] = random_crystals(1, species, np.diag([5.0, 5.2, 5.4]), seed=number).to_ase()
        results = {"energy": rng.normal(), "forces": rng.normal(size=(len(atoms), 3))}
        if stress:
            results["stress"] = rng.normal(size=6) * 0.01
        atoms.calc = SinglePointCalculator(atoms, **{**results, **changes})
        atoms.info["trajectory"] = f"run{number // 2}"
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


def test_frames_of_a_build_are_what_its_potential_gives(built):
    frames = frames_of_relaxations(built)
    [folder] = built.glob("structures_*")
    kept = dict(read_frames(folder))
    assert len(frames) == sum(len(one.energies) for one in kept.values())
    assert len(set(frames.structures)) == STRUCTURES
    assert frames.elements == ("Li", "O", "Cl")
    energies, forces = load_potential(**POTENTIAL).evaluate(frames.atoms)
    np.testing.assert_allclose(frames.energies, energies, atol=2e-4)  # positions are kept as float32
    np.testing.assert_allclose(np.concatenate(frames.forces), np.concatenate(forces), atol=2e-3)


def test_frames_of_one_structure_stay_together(built):
    frames = frames_of_relaxations(built)
    for seed in range(5):
        sets = split(frames, 0.2, 0.3, seed)
        assert all(sets.values())
        assert sorted(name for names in sets.values() for name in names) == sorted(set(frames.structures))
        assert sum(len(frames.of(names)) for names in sets.values()) == len(frames)
    assert split(frames, 0.2, 0.3, 0) == split(frames, 0.2, 0.3, 0) != split(frames, 0.2, 0.3, 1)
    for shares in ((0.5, 0.5), (0.0, 0.1), (0.1, -0.1)):
        with pytest.raises(CryinGANError, match="shares above 0"):
            split(frames, *shares, 0)


def test_more_structures_leave_the_others_in_their_sets():
    def of(n):
        return split(LabelledFrames([], np.zeros(n), [], None, np.arange(n).astype(str), {}), 0.1, 0.2, 3)

    few, many = of(300), of(1000)
    for name, share in (("training", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert set(few[name]) == {one for one in many[name] if int(one) < 300}
        assert abs(len(many[name]) / 1000 - share) < 3 * np.sqrt(share * (1 - share) / 1000)


def test_potential_with_its_card(built, tmp_path):
    made = settings(built, tmp_path, trials=[[0.005, 4], [0.01, 2]], trial_epochs=1)
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


def test_interrupted_training_goes_on_bit_by_bit(built, tmp_path, monkeypatch):
    whole = train_potential.train(settings(built, tmp_path / "whole", epochs=3))
    made = settings(built, tmp_path / "cut", epochs=3)
    from data.interface.potential_training.training import PotentialTraining

    step = PotentialTraining.training_step

    def dies(self, batch, number):
        if self.current_epoch == 2:
            raise InterruptedRun
        return step(self, batch, number)

    monkeypatch.setattr(PotentialTraining, "training_step", dies)
    with pytest.raises(InterruptedRun):
        train_potential.train(made)
    assert not made.output.exists()
    monkeypatch.undo()
    monkeypatch.setattr(cryingan.potentials.m3gnet.potential, "TOLERANCE", 1e-9)
    cut = train_potential.train(made)
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (whole, cut)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    rows = [json.loads((folder / "metrics.json").read_bytes())["training"]["rows"] for folder in (whole, cut)]
    plain = [[{k: v for k, v in row.items() if k != "seconds"} for row in one] for one in rows]
    assert plain[0] == plain[1]


def test_time_limit_ends_a_training_that_goes_on(built, tmp_path):
    folder = train_potential.train(settings(built, tmp_path, minutes=1e-6))
    first = json.loads((folder / "metrics.json").read_bytes())
    assert len(first["training"]["rows"]) == 1
    folder = train_potential.train(settings(built, tmp_path))
    second = json.loads((folder / "metrics.json").read_bytes())
    assert len(second["training"]["rows"]) == 2
    assert second["training"]["rows"][0] == first["training"]["rows"][0]
    with pytest.raises(CryinGANError, match="time is over before the trials are"):
        train_potential.train(settings(built, tmp_path, trials=[[0.02, 4]], minutes=1e-6))


def test_work_of_another_training_is_refused(built, tmp_path):
    train_potential.train(settings(built, tmp_path, epochs=1))
    for changes in ({"seed": 1}, {"model": {**SMALL, "units": 5}}, {"test": 0.3}):
        with pytest.raises(CryinGANError, match=f"holds a training with other {next(iter(changes))}"):
            train_potential.train(settings(built, tmp_path, epochs=1, **changes))


def test_structures_that_came_later_change_nothing(built, tmp_path, capsys):
    less = tmp_path / "less"
    shutil.copytree(built, less)
    last = max(less.glob("structures_*/frames/*.npz"))
    last.rename(tmp_path / last.name)
    first = train_potential.train(settings(less, tmp_path, epochs=1, system=system_of(built)))
    kept = json.loads((first / "metrics.json").read_bytes())["sets"]
    (tmp_path / last.name).rename(last)
    again = train_potential.train(settings(less, tmp_path, epochs=1, system=system_of(built)))
    assert json.loads((again / "metrics.json").read_bytes())["sets"] == kept
    assert "1 structures came after" in capsys.readouterr().err


def test_own_file_with_stresses_and_trajectories(tmp_path):
    path = labelled(tmp_path / "own.extxyz")
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


def test_energies_of_elements():
    from data.interface.potential_training.model import energies_of_elements

    def of(formulas, energies):
        atoms = [Atoms(formula) for formula in formulas]
        frames = LabelledFrames(atoms, np.array(energies), [], None, np.array(formulas), {})
        return energies_of_elements(frames, frames.energies, ("H", "Li", "O", "Cl"))

    several = of(["Li2O", "LiCl", "Li3OCl", "O2"], [2 * -2 - 5, -2 - 3, 3 * -2 - 5 - 3, -10])
    np.testing.assert_allclose(several, [0, -2, -5, -3], atol=1e-9)
    np.testing.assert_allclose(of(["Li2O", "Li2O"], [-8.0, -10.0]), [0, -3, -3, 0], atol=1e-9)


def test_trained_further_begins_where_the_first_ended(tmp_path):
    """Labels are a model's own, by matgl's calculator, at another level of energy: there is nothing to learn."""
    from matgl import load_model
    from matgl.ext.ase import PESCalculator

    first = train_potential.train(
        TrainPotentialSettings(
            labelled=str(labelled(tmp_path / "a.extxyz")), folder=str(tmp_path / "a"), **{**TINY, "epochs": 1}
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no structures"),
        ("1\nno lattice\nLi 0 0 0\n", "frame 1 needs a Lattice"),
        ('1\nLattice="4 0 0 0 4 0 0 0 4" energy=1 pbc="T T T"\nLi 0 0 0\n', "frame 1 needs .* forces:R:3"),
        ("2\nLi 0 0\n", "frame 1: "),
    ],
)
def test_file_that_cannot_be_used(tmp_path, content, message):
    path = tmp_path / "bad.extxyz"
    path.write_text(content)
    with pytest.raises(CryinGANError, match=message):
        frames_of_file(path)


def test_labels_that_cannot_be_used(tmp_path):
    with pytest.raises(CryinGANError, match="frame 1: energy or forces are not finite"):
        frames_of_file(labelled(tmp_path / "nan.extxyz", n=2, energy=np.nan))
    with pytest.raises(CryinGANError, match="frame 1 has no missing="):
        frames_of_file(labelled(tmp_path / "key.extxyz"), "missing")
    mixed = ase.io.read(labelled(tmp_path / "a.extxyz", n=2), ":")
    mixed += ase.io.read(labelled(tmp_path / "b.extxyz", n=2, stress=False), ":")
    ase.io.write(tmp_path / "mixed.extxyz", mixed, format="extxyz")
    with pytest.raises(CryinGANError, match="frame 3 has no stress, others have"):
        frames_of_file(tmp_path / "mixed.extxyz")
    with pytest.raises(CryinGANError, match="2 structures are too few"):
        split(frames_of_file(labelled(tmp_path / "few.extxyz", n=2)), 0.1, 0.1, 0)


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


def test_limits_of_the_other_commands():
    for schema, arguments in (
        (compare_potentials.CompareSettings, ["n=1"]),
        (compare_potentials.CompareSettings, ["shift=-1"]),
        (add_potential.AddPotentialSettings, ["n=-3"]),
        (extend_frames.ExtendSettings, ["reference.path=a", "each=0"]),
        (extend_frames.ExtendSettings, ["reference.path=a", "max_force=0"]),
    ):
        with pytest.raises(CryinGANError, match=arguments[-1].split("=")[0]):
            read_settings(["system=a", *arguments], schema)


def test_wrong_model_or_folder_is_named(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"model: .*width"):
        train_potential.train(settings(built, tmp_path, model={"width": 3}))
    with pytest.raises(CryinGANError, match="threebody_cutoff above 0 and at most cutoff"):
        train_potential.train(settings(built, tmp_path / "b", model={"cutoff": 3.0, "threebody_cutoff": 4.0}))
    with pytest.raises(CryinGANError, match="is not there: build the interface first"):
        train_potential.train(settings(tmp_path / "nothing", tmp_path))


def test_without_a_folder_it_is_written_beside_the_relaxations(built):
    assert TrainPotentialSettings(system="li2o_licl", relaxations=str(built)).output == built.parent / "potential"
    assert TrainPotentialSettings(system="li2o_licl").output.parts[-2:] == ("li2o_licl", "potential")


def test_relaxations_of_another_system_are_refused(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"holds relaxations of my pair, not of Li2O\(100\)\|LiCl\(100\)"):
        train_potential.train(settings(built, tmp_path, system="li2o_licl"))
    assert not (tmp_path / "work").exists()


def test_a_mistake_before_anything_is_trained_can_be_corrected(built, tmp_path):
    with pytest.raises(CryinGANError, match=r"model: .*'big'"):
        train_potential.train(settings(built, tmp_path, model={"units": "big"}))
    with pytest.raises(CryinGANError, match=r"model: .*'unit'"):
        train_potential.train(settings(built, tmp_path, model={"unit": 4}))
    assert train_potential.train(settings(built, tmp_path, epochs=1)) == tmp_path / "pot"
    with pytest.raises(CryinGANError, match="holds a training with other seed"):
        train_potential.train(settings(built, tmp_path, epochs=1, seed=1))


def test_divergence_ends_in_one_line(built, tmp_path, capsys):
    made = settings(built, tmp_path, trials=[[1e30, 4], [1e31, 4]])
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


def test_comparison_with_the_potential_of_the_build(built, tmp_path, monkeypatch):
    monkeypatch.setattr(compare_potentials, "INTERFACE_SETS", tmp_path)
    folder = train_potential.train(settings(built, tmp_path, test=0.4, epochs=1))
    held_out = json.loads((folder / "metrics.json").read_bytes())["held_out"]
    made = compare_potentials.CompareSettings(
        system=system_of(built),
        relaxations=str(built),
        potential={"kind": "m3gnet", "path": str(folder)},
        relax={"backend": "serial", "progress": False},
    )
    assert compare_potentials.compare(made) == folder
    found = json.loads((folder / "comparison.json").read_bytes())
    assert sorted(map(str, found["numbers"])) == held_out
    assert found["reference_hash"] == load_potential(**POTENTIAL).card.hash
    card = read_data_card(built.parent / "pair.extxyz.gz")
    assert found["cutoff"] == card.cutoff(load_potential(**POTENTIAL).card)
    assert 0 <= found["agreement"] <= 1
    assert "Random structures relaxed with both" in (folder / "README.md").read_text()
    assert (folder / "comparison.png").is_file()
    assert found["speed"] is found["same_places"] is found["moved"] is None
    again = compare_potentials.compare(made)  # goes on with what is there: nothing is relaxed twice
    assert json.loads((again / "comparison.json").read_bytes()) == found
    made.reference, made.shift = dict(POTENTIAL), 0.02
    compare_potentials.compare(made)
    with_reference = json.loads((folder / "comparison.json").read_bytes())
    text = (folder / "README.md").read_text()
    train_potential.train(settings(built, tmp_path, test=0.4, epochs=1))  # has ended: the same weights again
    assert json.loads((folder / "comparison.json").read_bytes()) == with_reference
    assert (folder / "README.md").read_text() == text
    assert (folder / "comparison.png").is_file()
    assert {**with_reference, "speed": None, "same_places": None, "moved": None} == found
    [work] = built.glob("comparison_*")
    ended = [atoms for atoms in ase.io.read(work / "relaxed.extxyz", ":") if atoms.info["reason"] == "converged"]
    theirs = load_potential(**POTENTIAL).evaluate(ended)[0]
    apart = np.abs(theirs - [atoms.get_potential_energy() for atoms in ended]).mean() / len(ended[0])
    assert with_reference["same_places"]["mae"] == pytest.approx(apart, rel=1e-5)
    poor = with_reference["same_places"]["mae"] > with_reference["spread"]
    assert ("It cannot judge relaxed structures yet" in text) == poor
    moved = with_reference["moved"]
    assert (moved["shift"], moved["structures"]) == (0.02, found["structures"])
    starts = relaxations(system_of(built), built, set(held_out), 50).starts
    before = starts.fractional.copy()
    steps = shifted(starts, 0.02).fractional - before
    assert np.std(steps @ starts.cell) == pytest.approx(0.02, rel=0.2)
    assert "against itself, from starts moved by 0.02" in (folder / "README.md").read_text()
    made.potential, made.folder = dict(POTENTIAL), str(tmp_path)
    with pytest.raises(CryinGANError, match="is the potential that the structures were relaxed with"):
        compare_potentials.compare(made)


def test_starts_are_those_of_the_build_also_without_frames(built, tmp_path):
    shutil.copytree(built, tmp_path / "work")
    found = relaxations(system_of(built), tmp_path / "work", None, 50)
    frames = dict(read_frames(built / "structures_000000_000005"))
    assert found.numbers == sorted(frames)
    for number, start in zip(found.numbers, found.starts.to_ase(), strict=True):
        np.testing.assert_allclose(start.positions, frames[number].positions[0], atol=1e-5)
    shutil.rmtree(tmp_path / "work" / "structures_000000_000005" / "frames")
    without = relaxations(system_of(built), tmp_path / "work", {"1", "3"}, 50)
    assert without.numbers == [1, 3]
    np.testing.assert_array_equal(without.starts.fractional, found.starts.fractional[[1, 3]])
    changed = Path(system_of(built)).read_text().replace("thickness: 7.5", "thickness: 7.6")
    shutil.copytree(built.parents[1], tmp_path / "changed")
    (tmp_path / "changed" / "pair.yaml").write_text(changed)
    with pytest.raises(CryinGANError, match=r"holds a build with region .* 7\.5.*, here it is .* 7\.6"):
        relaxations(str(tmp_path / "changed" / "pair.yaml"), tmp_path / "work", None, 50)
    (tmp_path / "work" / "build.json").unlink()
    with pytest.raises(CryinGANError, match="holds no build: nothing has been relaxed there"):
        relaxations(system_of(built), tmp_path / "work", None, 50)


def test_frames_of_its_own_relaxations(built, tmp_path):
    work = tmp_path / "built"
    shutil.copytree(built, work)
    folder = train_potential.train(settings(work, tmp_path, epochs=1, system=system_of(built)))
    before = frames_of_relaxations(work)
    made = extend_frames.ExtendSettings(
        system_of(built),
        reference=POTENTIAL,
        relaxations=str(work),
        potential={"kind": "m3gnet", "path": str(folder)},
        n=4,
        each=2,
        relax={"backend": "serial", "progress": False, "max_steps": 2},
    )
    labelled_folder = extend_frames.extend(made)
    [unlabelled] = work.glob("unlabelled_*")
    own = dict(read_frames(unlabelled))
    reference = load_potential(**POTENTIAL)
    atoms = before.atoms[0].copy()
    for sample, frames in read_frames(labelled_folder):
        assert frames.positions.tolist() == own[sample].positions.tolist()
        for positions, energy, forces in zip(frames.positions, frames.energies, frames.forces, strict=True):
            atoms.positions = positions
            energies, expected = reference.evaluate([atoms])
            assert energy == pytest.approx(energies[0], abs=1e-9)
            np.testing.assert_allclose(forces, expected[0], atol=1e-5)
    after = frames_of_relaxations(work)
    assert len(after) == len(before) + sum(len(one.energies) for one in own.values())
    assert set(after.structures) == set(before.structures)
    assert split(after, 0.2, 0.2, 0) == split(before, 0.2, 0.2, 0)
    assert set(after.by_origin()) == {"relaxations", "other paths"}

    def counts(**changes):
        folder = train_potential.train(settings(work, tmp_path, epochs=1, system=system_of(built), **changes))
        return json.loads((folder / "metrics.json").read_bytes())["sets"], (folder / "README.md").read_text()

    assert all(one["origins"] == {} for one in counts()[0].values())  # it began without them
    with_them = {"work": str(tmp_path / "with them"), "folder": str(tmp_path / "other")}
    sets, text = counts(**with_them)
    assert sum(one["frames"] for one in sets.values()) == len(after)
    found = sum(one["origins"].get("other paths", {"frames": 0})["frames"] for one in sets.values())
    assert found == len(after) - len(before)
    assert "other potentials' relaxations of the same structures" in text

    samples = before.atoms[:2]
    samples[1].positions[0] = samples[1].positions[1]
    ase.io.write(tmp_path / "samples.extxyz", samples)
    made.structures = str(tmp_path / "samples.extxyz")
    other = extend_frames.extend(made)
    start = 1_000_000 * (1 + int(hashlib.sha256((tmp_path / "samples.extxyz").read_bytes()).hexdigest()[:6], 16))
    assert [sample for sample, _ in read_frames(other)] == [start, start + 1]
    assert set(frames_of_relaxations(work).by_origin()) == {"relaxations", "other paths", "samples"}
    [(_, first), _] = read_frames(other)
    np.testing.assert_allclose(first.positions[0], samples[0].positions, atol=1e-4)
    assert len(frames_of_relaxations(work)) > len(after)
    shutil.rmtree(other)
    ase.io.write(tmp_path / "samples.extxyz", samples[0][::-1])
    with pytest.raises(CryinGANError, match="another order or another cell than the structures of the build"):
        extend_frames.extend(made)
    made.structures = None

    shutil.rmtree(labelled_folder)
    with pytest.raises(CryinGANError, match="with which the training began, is no longer there"):
        counts(**with_them)
    made.max_force = 1e-3
    again = extend_frames.extend(made)
    made.max_force = 1.0
    with pytest.raises(CryinGANError, match=r"was labelled with max_force=0.001: remove it to label anew"):
        extend_frames.extend(made)
    made.max_force = 1e-3
    assert all(len(frames.energies) == 0 for _, frames in read_frames(again))
    assert len(frames_of_relaxations(work)) == len(before)
    made.reference = {**POTENTIAL, "radii": {"Li": 0.8, "O": 1.1, "Cl": 1.4}}
    with pytest.raises(CryinGANError, match=r"reference is .*, not what the structures were relaxed with"):
        extend_frames.extend(made)


def test_agreement_by_hand(built):
    theirs = relaxations(system_of(built), built, None, 4)
    assert theirs.numbers == [0, 1, 2, 3]
    order = np.argsort(np.argsort(theirs.energies))
    mine = theirs.energies + np.where(order == 3, -1.0, 0.01)  # the highest becomes the lowest
    ended = SimpleNamespace(
        energy_final=mine * 31, converged=np.array([True] * 4), steps=np.array([1, 2, 3, 4]), samples=np.arange(4)
    )
    middle = float(np.sort(theirs.energies)[1:3].mean())
    found = agreement(ended, theirs, middle)
    assert found["spearman"] == pytest.approx(1 - 6 * (9 + 3) / (4 * 15))
    assert found["mae"] == pytest.approx((3 * 0.01 + 1) / 4)
    assert found["mean_difference"] == pytest.approx((3 * 0.01 - 1) / 4)
    sides = (mine <= middle) == (theirs.energies <= middle)
    assert found["agreement"] == sides.mean() <= 0.75
    ended.converged = np.array([True, True, True, False])
    assert agreement(ended, theirs, middle)["agreement"] == (sides[:3].sum()) / 4
    assert agreement(ended, theirs, None)["agreement"] is None


def test_commands_end_in_one_line(monkeypatch):
    arguments = [sys.executable, "-m", "data.interface.train_potential", "system=nothing"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    monkeypatch.setattr(sys, "argv", ["compare_potentials", "system=nothing"])
    with pytest.raises(SystemExit, match=r"potential.path, which is .*nothing/potential"):
        run_command(compare_potentials.compare, compare_potentials.CompareSettings)


def test_interval_of_a_rank_correlation():
    rng = np.random.default_rng(3)
    first = rng.normal(size=40)
    second = first + rng.normal(size=40)
    draws = []
    for _ in range(2000):
        chosen = rng.integers(0, 40, 40)
        ranks = [np.argsort(np.argsort(values[chosen] + 1e-9 * rng.normal(size=40))) for values in (first, second)]
        draws.append(np.corrcoef(*ranks)[0, 1])
    np.testing.assert_allclose(spearman_interval(first, second), np.quantile(draws, (0.025, 0.975)), atol=0.03)
    assert spearman_interval(first, first) == pytest.approx((1, 1))
    assert spearman_interval(first[:2], second[:2]) is None
    assert np.isfinite(spearman_interval(first[:3], second[:3])).all()  # many draws are of one value


def test_a_card_tells_the_trainings_before(built, tmp_path):
    def trained(number, **how):
        folders = {"work": str(tmp_path / f"work {number}"), "folder": str(tmp_path / f"potential {number}")}
        folder = train_potential.train(settings(built, tmp_path, **folders, epochs=1, **how))
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


@pytest.mark.parametrize("changed", [{"seed": 5}, {"test": 0.3}, {"validation": 0.3}])
def test_a_model_is_not_tested_on_what_it_was_trained_on_before(built, tmp_path, changed):
    first = train_potential.train(settings(built, tmp_path, epochs=1))
    further = {"start": str(first), "work": str(tmp_path / "w"), "folder": str(tmp_path / "f"), "epochs": 1}
    with pytest.raises(CryinGANError, match=r"was trained with seed=\d validation=[0-9.]+ test=[0-9.]+: give the same"):
        train_potential.train(settings(built, tmp_path, **further, **changed))
    train_potential.train(settings(built, tmp_path, **further))
    held_out = [json.loads((one / "metrics.json").read_bytes())["held_out"] for one in (first, tmp_path / "f")]
    assert held_out[0] == held_out[1]


def test_potential_of_a_set_relaxes_its_samples(built, tmp_path):
    """Trained in the folder of the set and added to its card, it is taken wherever no other is given."""
    from callbacks.relax_samples import RelaxSamples

    shutil.copytree(built.parents[1], tmp_path / "copy")
    copy = tmp_path / "copy" / "set"
    folder = train_potential.train(settings(copy / "work", tmp_path, folder=str(copy / "potential")))
    datamodule = SimpleNamespace(path=copy / "pair.extxyz.gz", card=None)
    trainer = SimpleNamespace(datamodule=datamodule, default_root_dir=str(tmp_path))
    with pytest.raises(CryinGANError, match="needs a potential"):
        RelaxSamples(None, {}).setup(trainer, None, "fit")
    made = add_potential.AddPotentialSettings(system_of(copy / "work"), relax=RELAX, n=3, folder=str(copy))
    add_potential.add(made)
    callback = RelaxSamples(None, {})
    callback.setup(trainer, None, "fit")
    assert callback.potential == default_potential(datamodule.path) == {"kind": "m3gnet", "path": str(folder)}
    card = load_potential(**callback.potential).card
    assert read_data_card(datamodule.path).cutoff(card) is not None
    assert RelaxSamples({"kind": "pair"}, {}).potential == {"kind": "pair"}
