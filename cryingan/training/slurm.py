"""How many processes of one training Slurm has started, and how they find each other."""

from __future__ import annotations

import logging
import os
from typing import Any

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from cryingan.errors import CryinGANError

SHELLS = ("bash", "interactive")
"""Names of jobs whose processes are started by hand (a convention of Lightning)."""

log = logging.getLogger(__name__)


class SlurmTasks(SLURMEnvironment):
    """The tasks of one `srun`, each a process of the training.

    Lightning's class takes the numbers of the whole job, which a step need not use, and refuses some spellings.

    Args:
        tasks: their number.
    """

    def __init__(self, tasks: int) -> None:
        super().__init__(auto_requeue=False)
        self.tasks = tasks

    def world_size(self) -> int:
        """The number of tasks."""
        return self.tasks

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Refuse settings that ask for another number of processes.

        Raises:
            CryinGANError: says how to start as many.
        """
        require_processes(self.tasks, num_devices, num_nodes)

    @staticmethod
    def _validate_srun_variables() -> None:
        """Accept any way of asking for tasks; Lightning's class knows `--ntasks-per-node` only."""


def cluster_environment(devices: Any, num_nodes: int) -> ClusterEnvironment | None:
    """Return how the processes of a training in a Slurm job are started; None leaves the choice to Lightning.

    Without `srun` there is one process, which starts those of further devices itself, whatever the job asked for.

    Args:
        devices: trainer.devices.
        num_nodes: trainer.num_nodes.

    Raises:
        CryinGANError: Slurm has started another number of processes than the settings ask for, or its numbers are none.
    """
    if "SLURM_JOB_ID" not in os.environ and "SLURM_NTASKS" not in os.environ:
        return None
    if TorchElasticEnvironment.detect():
        return None
    tasks = started_tasks(devices, num_nodes)
    if tasks > 1:
        if count_devices(devices) == 1:
            require_processes(tasks, 1, num_nodes)
        return SlurmTasks(tasks)
    if num_nodes > 1:
        require_processes(1, devices, num_nodes)
    return LightningEnvironment()


def started_tasks(devices: Any, num_nodes: int) -> int:
    """The number of processes that Slurm has started for this command.

    A step of `srun` knows it. Without one, this is the script or the shell of the job: one process, unless its rank
    tells otherwise, or the settings ask for as many as the job has tasks; then `srun` is taken for granted.
    """
    if os.environ.get("SLURM_JOB_NAME") in SHELLS:
        return 1
    if "SLURM_STEP_NUM_TASKS" in os.environ:
        return _number("SLURM_STEP_NUM_TASKS")
    in_job = _number("SLURM_NTASKS")
    if _number("SLURM_PROCID", 0) > 0:
        return in_job
    if in_job == 1 or "SLURM_PROCID" not in os.environ or (count_devices(devices) or 0) * num_nodes != in_job:
        return 1
    log.warning("waiting for the other %d tasks of the Slurm job; only srun starts them", in_job - 1)
    return in_job


def count_devices(devices: Any) -> int | None:
    """How many devices trainer.devices names; None where that depends on the machine."""
    if isinstance(devices, list):
        return len(devices)
    text = str(devices)
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    return int(text) if text.isdecimal() else None


def require_processes(started: int, devices: Any, num_nodes: int) -> None:
    """Refuse, with a CryinGANError, settings that need another number of processes than Slurm has `started`."""
    wanted = f"trainer.devices={devices} and trainer.num_nodes={num_nodes}"
    if started == 1:
        raise CryinGANError(f"Slurm started one process, and {wanted} need several: begin the command with srun")
    if devices * num_nodes != started:
        each = f"srun --ntasks-per-node={devices} --nodes={num_nodes}"
        raise CryinGANError(
            f"Slurm started {started} processes (--ntasks={started}), and {wanted} ask for {devices * num_nodes}: "
            f"start that many ({each}, or no srun on one node), or use trainer=ddp trainer.devices=TASKS_PER_NODE"
        )


def _number(name: str, default: int = 1) -> int:
    """An environment variable that is a whole number."""
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        raise CryinGANError(f"{name}={text} in the environment is not a number; outside of a job, unset it")
    return int(text) if text else default
