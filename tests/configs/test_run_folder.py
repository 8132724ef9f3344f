"""Folders of runs: jobs of a sweep never share one, nor do files of one name."""

import sys

import pytest
from omegaconf import OmegaConf

from configs.entry import run
from configs.run_folder import SWEEP_ID, SWEEP_PARAMETERS, use_own_folder
from cryingan.errors import CryinGANError
from train import train


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """A function from a command line of train.py to the folders of its runs, below runs/, or to another key of theirs.

    Nothing is trained.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(SWEEP_ID, raising=False)

    def of(*arguments, key="run_dir"):
        found = []

        def job(config):
            use_own_folder(config)
            found.append(OmegaConf.select(config, key).removeprefix("runs/"))

        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        run("train", job)
        return found

    return of


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lambda=0,1", "trainer.max_epochs=3"], ["li2o_licl/lambda0.0_avg_seed1", "li2o_licl/lambda1.0_avg_seed1"]),
        (["lambda=0.1", "experiment=demo", "seed=1,2"], ["demo_seed1", "demo_seed2"]),
        (["run_dir=runs/k${model.n_neighbors}", "model.n_neighbors=6,12"], ["k6", "k12"]),
        (["experiment=demo,lsc_lco", "run_dir=runs/x"], ["x_experiment-demo", "x_experiment-lsc_lco"]),
        (
            ["run_dir=runs/x", "model.generator_widths=[8,8,8],[4, 4,4]"],
            ["x_generator_widths-8-8-8", "x_generator_widths-4-4-4"],
        ),
        (["data.path=a/NaCl.extxyz,b/KCl.traj"], ["NaCl/lambda0.05_avg_seed1", "KCl/lambda0.05_avg_seed1"]),
    ],
)
def test_a_job_of_a_sweep_has_what_differs_in_its_folder(folders, arguments, expected):
    assert folders(*arguments, "-m") == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["data.path=a/XDATCAR,b/XDATCAR.gz"],
        ["data.path=a/b,a_b", "run_dir=runs/x"],
        ["callbacks.last.every_n_epochs=1,2", "callbacks.quality.every_n_epochs=1,2"],
        ["run_dir=runs/x", "potential=ase", "+potential.arguments={a:[1]},{a:1}"],
        ["run_dir=runs/x", f"data.path={'long/' * 40}1.xyz,{'long/' * 40}2.xyz", "potential=pair"],
        ["run_dir=runs/x", 'trainer.max_time="00:01:00:00",null'],
    ],
)
def test_no_two_jobs_share_a_folder(folders, arguments):
    found = folders("-m", *arguments)
    assert len(set(found)) == len(found) > 1
    assert all(len(part) < 250 for folder in found for part in folder.split("/"))


def test_seeds_share_a_group_in_wandb_and_nothing_else_does(folders):
    sweep, group = ["-m", "model.channels=16,32", "run_dir=runs/x"], "logger.wandb.group"
    assert folders(*sweep, "seed=1,2", key=group) == [f"li2o_licl_lambda0.05_avg_channels{n}" for n in (16, 16, 32, 32)]
    assert folders(*sweep, key="logger.wandb.name") == [f"lambda0.05_avg_seed1_channels{n}" for n in (16, 32)]
    assert folders(*sweep, f"{group}=mine", key=group) == ["mine", "mine"]


def test_runs_of_a_wandb_agent_have_the_folder_of_their_sweep(folders, monkeypatch, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text("wandb_version: 1\nlambda: {value: 0.01}\nmodel.channels: {value: 16}\n")
    monkeypatch.setenv(SWEEP_ID, "ab12")
    monkeypatch.setenv(SWEEP_PARAMETERS, str(parameters))
    command = ["lambda=0.01", "model.channels=16", "trainer.max_epochs=3"]
    assert folders(*command) == ["li2o_licl/lambda0.01_avg_seed1_channels16_sweep-ab12"]
    assert folders(*command, "run_dir=runs/${oc.env:WANDB_SWEEP_ID}") == ["ab12_lambda0.01_channels16"]


def test_another_file_of_one_name_has_a_folder_of_its_own(tiny, tmp_path, structures_file, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frames = structures_file.read_text().splitlines(keepends=True)
    here, there, copy = (tmp_path / name / "XDATCAR.extxyz" for name in ("here", "there", "copy"))
    for path, text in ((here, frames), (there, frames[:-12]), (copy, frames)):
        path.parent.mkdir()
        path.write_text("".join(text))
    quick = ["~callbacks.quality", "~callbacks.structures", "run_dir=runs/${stem:${data.path}}/run"]

    def folder(path, epochs=1):
        config = tiny("run_dir=unused", f"data.path={path}", *quick[:2], f"trainer.max_epochs={epochs}")
        config["run_dir"] = "runs/${stem:${data.path}}/run"
        train(config)
        return config["run_dir"]

    assert folder(here) == folder(copy, 2) == "runs/XDATCAR/run"  # a copy resumes
    other = folder(there)
    assert other != "runs/XDATCAR/run"
    assert "runs/XDATCAR/run is of another file of this name; this run goes to" in capsys.readouterr().out
    assert folder(there, 2) == other
    copy.write_text("".join(frames[:-12]))
    with pytest.raises(CryinGANError, match="not the file"):  # a file that was changed is no other file
        folder(copy, 3)
