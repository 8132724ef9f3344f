"""What Slurm leaves in the environment: a training runs, or says in one line how to start it."""

import os
import subprocess
import sys

import pytest
from lightning.fabric.plugins.environments import LightningEnvironment

from cryingan.errors import CryinGANError
from cryingan.training.slurm import SlurmTasks, cluster_environment, count_devices
from tests.conftest import TINY
from tests.support.paths import ROOT
from train import train

BATCH = {"SLURM_JOB_ID": "123", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
BATCH |= {"SLURM_NODEID": "0", "SLURM_NODELIST": "localhost", "SLURM_NNODES": "1"}


@pytest.fixture
def in_job(monkeypatch):
    """A function that puts the variables of a job into the environment, and nothing else of Slurm's."""

    def enter(**variables):
        for name in [name for name in os.environ if name.startswith("SLURM_")]:
            monkeypatch.delenv(name)
        for name, value in {**BATCH, **variables}.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)

    return enter


@pytest.mark.parametrize(
    ("variables", "devices", "nodes"),
    [
        ({"SLURM_NTASKS": "4"}, 1, 1),  # sbatch --ntasks=4, no srun
        ({"SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4"}, 1, 1),
        ({"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4(x2)", "SLURM_NNODES": "2"}, 1, 1),
        ({"SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}, 2, 1),  # DDP in a job of one task
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "1"}, 2, 1),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_NAME": "bash"}, 1, 1),  # srun --pty bash
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "", "SLURM_LOCALID": "", "SLURM_JOB_NAME": "mine"}, 4, 1),  # salloc
        ({"SLURM_NTASKS": "", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_JOB_ID": "120"}, 1, 1),  # job array
        ({"SLURM_NTASKS": "2"}, "auto", 1),
    ],
)
def test_one_process_where_slurm_started_one(in_job, variables, devices, nodes):
    in_job(**variables)
    assert type(cluster_environment(devices, nodes)) is LightningEnvironment


@pytest.mark.parametrize(
    ("variables", "devices", "nodes"),
    [
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}, 2, 1),
        ({"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}, 2, 1),  # srun of a Slurm that says no more
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_NTASKS_PER_NODE": "2(x2)"}, [0, 1], 2),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "4"}, "2", 2),
    ],
)
def test_the_tasks_of_srun_are_the_processes(in_job, variables, devices, nodes):
    in_job(**variables)
    environment = cluster_environment(devices, nodes)
    assert isinstance(environment, SlurmTasks)
    assert environment.world_size() == count_devices(devices) * nodes
    environment.validate_settings(count_devices(devices), nodes)


@pytest.mark.parametrize(
    ("variables", "devices", "nodes", "said"),
    [
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}, 1, 1, "started 4 processes .*srun --ntasks-per-node=1"),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, 1, 1, "trainer=ddp trainer.devices=TASKS_PER_NODE"),
        ({"SLURM_NTASKS": "2"}, 2, 2, "started one process, .*begin the command with srun"),
        ({"SLURM_NTASKS": "four"}, 1, 1, "SLURM_NTASKS=four in the environment is not a number"),
    ],
)
def test_another_number_of_processes_is_refused(in_job, variables, devices, nodes, said):
    in_job(**variables)
    with pytest.raises(CryinGANError, match=said):
        cluster_environment(devices, nodes)


def test_more_tasks_than_devices_are_refused_where_lightning_counts_them(in_job):
    in_job(SLURM_NTASKS="4", SLURM_STEP_NUM_TASKS="4")
    with pytest.raises(CryinGANError, match=r"started 4 processes .*ask for 2"):
        cluster_environment("auto", 1).validate_settings(2, 1)


def test_outside_of_slurm_and_under_torchrun_lightning_chooses(in_job, monkeypatch):
    in_job(**dict.fromkeys(BATCH))
    assert cluster_environment(1, 1) is None
    in_job(SLURM_NTASKS="2", SLURM_STEP_NUM_TASKS="2")
    for name in ("TORCHELASTIC_RUN_ID", "GROUP_RANK"):
        monkeypatch.setenv(name, "0")
    assert cluster_environment(4, 2) is None


def test_a_job_of_four_tasks_trains_without_srun(in_job, tiny, tmp_path):
    in_job(SLURM_NTASKS="4")
    train(tiny("trainer.max_epochs=1", "~callbacks.quality", "~callbacks.structures"))
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("step", [{"SLURM_STEP_NUM_TASKS": "2"}, {"SLURM_NTASKS_PER_NODE": "2"}])
def test_two_tasks_of_srun_train_together(tmp_path, structures_file, step):
    command = [sys.executable, "train.py", f"data.path={structures_file}", f"run_dir={tmp_path}/run", *TINY]
    command += ["logger=csv", "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
    variables = {**os.environ, **BATCH, **step, "SLURM_NTASKS": "2"}
    tasks = [
        subprocess.Popen(command, cwd=ROOT, env={**variables, "SLURM_PROCID": rank, "SLURM_LOCALID": rank})
        for rank in "01"
    ]
    assert [task.wait(timeout=200) for task in tasks] == [0, 0]
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()
