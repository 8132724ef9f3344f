"""Jobs of a sweep in other processes; tests need the plugins of Hydra that docs/running.md names."""

import importlib.util
import os

import pytest
import yaml

from cryingan.storage.checkpoint import read_checkpoint
from tests.conftest import TINY
from tests.support.command import call
from tests.support.paths import ROOT

QUICK = ("logger=csv", "~callbacks.quality", "~callbacks.structures", "trainer.max_epochs=1")


def require(plugin):
    if not importlib.util.find_spec("hydra_plugins") or not importlib.util.find_spec(f"hydra_plugins.{plugin}"):
        pytest.skip(f"needs {plugin}")


@pytest.mark.parametrize(
    ("launcher", "plugin"), [("joblib", "hydra_joblib_launcher"), ("submitit_local", "hydra_submitit_launcher")]
)
def test_jobs_in_other_processes_have_folders_of_their_own(tmp_path, structures_file, launcher, plugin):
    require(plugin)
    command = ["-m", f"hydra/launcher={launcher}", f"hydra.sweep.dir={tmp_path}/sweep", f"run_dir={tmp_path}/x"]
    result = call("train.py", *command, f"data.path={structures_file}", *TINY, *QUICK, "lambda=0,0.05")
    assert result.returncode == 0, result.stderr
    assert {path.parts[-3] for path in tmp_path.glob("*/checkpoints/last.ckpt")} == {"x_lambda0.0", "x_lambda0.05"}
    assert not [path for path in tmp_path.rglob("*") if "%" in path.name]


@pytest.mark.slow
def test_a_job_that_runs_out_of_time_finishes_its_epoch_is_queued_again_and_resumes(tmp_path, structures_file):
    require("hydra_submitit_launcher")
    slow = "+callbacks.slow={_target_: tests.support.callbacks.Slow, seconds: 4}"
    limits = ["timeout_min=1", "+hydra.launcher.max_num_timeout=9"]
    command = ["-m", "hydra/launcher=submitit_local", f"hydra.launcher.{limits[0]}", *limits[1:], slow, "seed=1,2"]
    command += [f"hydra.sweep.dir={tmp_path}/sweep", f"run_dir={tmp_path}/x", f"data.path={structures_file}"]
    result = call("train.py", *command, *TINY, *QUICK, "trainer.max_epochs=8", "callbacks.last.every_n_epochs=100")
    assert result.returncode == 0, result.stderr
    output = "".join(path.read_text() for path in (tmp_path / "sweep/.submitit").glob("*_log.out"))
    assert "stopped before all was done" in output
    assert [read_checkpoint(path)["epoch"] for path in tmp_path.glob("x*/checkpoints/last.ckpt")] == [7, 7]


def test_optuna_gets_the_objective(tmp_path, structures_file):
    require("hydra_optuna_sweeper")
    command = [
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1",
        "lambda=interval(0.01,1)",
    ]
    command += [f"hydra.sweep.dir={tmp_path}", f"run_dir={tmp_path}/x", f"data.path={structures_file}", *TINY, *QUICK]
    result = call("train.py", *command, "objective=train/score_difference")
    assert result.returncode == 0, result.stderr
    assert "best_value" in yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    assert len(list(tmp_path.glob("x_lambda*/checkpoints/last.ckpt"))) == 2


def test_the_slurm_launcher_needs_slurm_and_makes_no_folder_named_after_a_pattern(tmp_path):
    settings = yaml.safe_load((ROOT / "configs/hydra/launcher/slurm.yaml").read_text())
    assert "%" not in settings["submitit_folder"]
    assert {"timeout_min", "gpus_per_node", "cpus_per_task", "partition", "signal_delay_s"} <= settings.keys()
    programs = {**os.environ, "PATH": str(tmp_path)}
    result = call("train.py", "-m", "hydra/launcher=slurm", "lambda=0,1", env=programs)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "srun is not there" in result.stderr
