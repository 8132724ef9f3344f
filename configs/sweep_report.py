"""The report that a sweep of train.py (`-m`) ends with."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback

from cryingan.errors import CryinGANError
from cryingan.storage.text import in_one_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

JOBS = "CRYINGAN_SWEEP_JOBS"
"""Environment variable, inherited by all jobs of a sweep: the file in which each of them writes a line at its end."""


class SweepJobs(Callback):
    """Writes down the jobs of a sweep of train.py: their folders, their settings, and why one failed."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Begin, in the process that starts the jobs."""
        if kwargs.get("config_name") == "train":
            folder = Path(config.hydra.sweep.dir)
            folder.mkdir(parents=True, exist_ok=True)
            path = (folder / f".jobs-{os.getpid()}").resolve()
            path.touch()
            os.environ[JOBS] = str(path)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:  # noqa: ARG002
        """Add a line, in the process of the job."""
        if JOBS in os.environ:
            line = json.dumps(_job(job_return), default=str) + "\n"
            file = os.open(os.environ[JOBS], os.O_WRONLY | os.O_APPEND)
            try:
                os.write(file, line.encode())  # at once: jobs in other processes write, too
            finally:
                os.close(file)


def _job(job_return: JobReturn) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from configs.job import model_of
    from cryingan.training.together import each_run

    name, model = (
        ",".join(job_return.overrides),
        model_of(job_return.hydra_cfg.hydra.runtime.choices, job_return.overrides),
    )
    error = None if job_return.status == JobStatus.COMPLETED else _reason(job_return._return_value)
    try:
        plain = OmegaConf.to_container(job_return.cfg, resolve=True, enum_to_str=True)
        runs = [{"run_dir": one["run_dir"], "settings": one} for one in each_run(plain)]
    except (CryinGANError, OmegaConfBaseException):  # the settings are why it failed
        runs = []
    return {"job": name, "model": model, "runs": runs, "error": error}


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, CryinGANError) else f"{type(error).__name__}: {in_one_line(error)}"


def report_sweep() -> None:
    """Write the report of the sweep that has ended, and print its path; do nothing after other commands."""
    if JOBS not in os.environ:
        return
    from cryingan.report.report import common_folder, report

    jobs = _jobs(Path(os.environ[JOBS]))
    forget_jobs()
    runs = [(Path(run["run_dir"]), run["settings"], job) for job in jobs for run in job["runs"]]
    if not runs:
        return
    settings = {path: of_run for path, of_run, _ in runs}
    records = {path: {"model": job["model"], "failed": job["error"]} for path, _, job in runs}
    paths = list(settings)
    try:
        page = report(common_folder(paths), only=paths, records=records, settings=settings)
    except Exception as error:  # nothing that goes wrong here makes a sweep that has ended well a failure
        print(f"train.py: the report of the sweep was not written: {_reason(error)}", file=sys.stderr, flush=True)
    else:
        print(f"report of {len(paths)} runs: {page}", flush=True)
        _log_to_wandb(page, settings)


def _log_to_wandb(page: Path, settings: dict[Path, Any]) -> None:
    from callbacks.wandb_artifacts import log_report

    try:
        log_report(page, settings)
    except Exception as error:  # likewise
        print(f"train.py: the report of the sweep is not in W&B: {_reason(error)}", file=sys.stderr, flush=True)


def _jobs(path: Path) -> list[dict[str, Any]]:
    """The jobs that have ended; a line that cannot be read is named, and left out."""
    jobs = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            jobs.append(json.loads(line))
        except ValueError as error:
            text = f"train.py: {path}, line {number}: {in_one_line(error)}; this job is not in the report of the sweep"
            print(text, file=sys.stderr, flush=True)
    return jobs


def forget_jobs() -> None:
    """Remove the file in which the jobs of a sweep are written down, where there is one."""
    if JOBS in os.environ:
        Path(os.environ.pop(JOBS)).unlink(missing_ok=True)
