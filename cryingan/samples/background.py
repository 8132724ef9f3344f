"""Relax samples during a training, in a background process or inline."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.relaxation.workers import DEATHS
from cryingan.samples.folder import WORKER_LOG, WORKER_PLAN, clear_outcome, has_ended, read_error, write_error
from cryingan.samples.plan import Plan
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.samples.worker import SECONDS_BETWEEN_LOOKS
from cryingan.storage.atomic import ROOT, write_json

SECONDS_TO_END = 15
WARNING = re.compile(rb"^WARNING cryingan[\w.]*: (.*)\n", re.MULTILINE)  # as the worker logs it


class FolderRelaxer(ABC):
    """Relaxes folders of samples in the order in which they are submitted.

    Args:
        plan: how to relax.
        folder: the folder above them.
        report: called with one line about deaths, errors and warnings.

    Attributes:
        waiting: folders that have not ended, with the number of processes that died there.
        scale: what is known of the energy scale, as `TrainingScale.record` gives it.

    Raises:
        CryinGANError: as `SampleRelaxer`.
    """

    def __init__(self, plan: Plan, folder: Path, report: Callable[[str], None]) -> None:
        self.plan, self.folder, self.report = plan, folder, report
        self.waiting: dict[Path, int] = {}

    @abstractmethod
    def submit(self, folder: Path) -> None:
        """Have the samples in a folder relaxed; an earlier outcome does not count."""

    @abstractmethod
    def poll(self) -> list[Path]:
        """Folders that are done since the last call."""

    def wait(self, stop: Callable[[], bool]) -> list[Path]:
        """Wait until a folder is done, none is left or `stop` says so; the folders that are done."""
        while not (done := self.poll()) and self.waiting and not stop():
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return done

    @abstractmethod
    def close(self) -> None:
        """End what runs; unfinished folders can be submitted again later."""

    def _give_up(self, folder: Path, error: str) -> None:
        self.report(f"relaxation of {folder.name} is given up: {error}")


class InlineRelaxer(FolderRelaxer):
    """Relaxes in this process: a folder has ended when `submit` returns."""

    def __init__(self, plan: Plan, folder: Path, report: Callable[[str], None]) -> None:
        super().__init__(plan, folder, report)
        self.relaxer = SampleRelaxer(plan)
        self.relaxer.prepare()
        self.scale = self.relaxer.scale.record()
        self.done: list[Path] = []

    def submit(self, folder: Path) -> None:
        """Relax the samples in a folder."""
        clear_outcome(folder)
        if (error := self.relaxer.attempt(folder)) is None:
            self.done.append(folder)
        else:
            self._give_up(folder, error)

    def poll(self) -> list[Path]:
        """Folders that are done since the last call."""
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        """Nothing runs between two calls."""


class BackgroundRelaxer(FolderRelaxer):
    """Relaxes in the process `cryingan.samples.worker`, which is started again when it dies.

    The process reads its plan from a file and writes results into the folders and messages into its log, whose warnings
    are reported. A folder in which it has died `DEATHS` times is given up.
    """

    def __init__(self, plan: Plan, folder: Path, report: Callable[[str], None]) -> None:
        super().__init__(plan, folder, report)
        self.log = folder / WORKER_LOG
        self.reported = self.log.stat().st_size if self.log.exists() else 0  # bytes of the log
        self.scale = SampleRelaxer(plan).scale.known()  # errors of the plan are raised now
        self._write_plan([])
        self._start()

    def submit(self, folder: Path) -> None:
        """Have the samples in a folder relaxed."""
        clear_outcome(folder)
        self._write_plan([*self.waiting, folder])
        self.waiting[folder] = 0

    def poll(self) -> list[Path]:
        """Folders that are done since the last call; a process that died is started again."""
        errors = {folder: read_error(folder) for folder in self.waiting if has_ended(folder)}
        self._report_warnings()
        for folder, error in errors.items():
            del self.waiting[folder]
            if error is not None:
                self._give_up(folder, error)
        if self.waiting and self.process.poll() is not None:
            self._restart()
        return [folder for folder, error in errors.items() if error is None]

    def close(self) -> None:
        """End the process and those that it has started."""
        self._end_group()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        self.process.kill()
        self.process.wait()
        self._end_group()  # what it has started meanwhile
        self.process.stdin.close()
        self._report_warnings()

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def _write_plan(self, folders: list[Path]) -> None:
        content = {"plan": asdict(self.plan), "folders": [str(folder) for folder in folders]}
        write_json(self.folder / WORKER_PLAN, content)

    def _start(self) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            log = self.log.open("ab")
        except OSError as error:
            raise CryinGANError(f"{self.log} cannot be written: {error.strerror}") from error
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cryingan.samples.worker", str(self.folder / WORKER_PLAN)],
                stdin=subprocess.PIPE,  # closes when this process ends, however it ends
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the training, which then ends this one
            )

    def _restart(self) -> None:
        first, ended = next(iter(self.waiting)), self.process.returncode
        how = f"was killed by {signal.Signals(-ended).name}" if ended < 0 else f"ended with exit code {ended}"
        self.close()
        self.waiting[first] += 1
        if self.waiting[first] == DEATHS:
            error = f"the relaxation process {how}, {DEATHS} times there; see {self.log}"
            write_error(first, error)
            del self.waiting[first]
            self._give_up(first, error)
        else:
            self.report(f"the relaxation process {how} in {first.name} and is started again (output: {self.log})")
        with contextlib.suppress(CryinGANError):  # on a full disk the earlier plan has to do
            self._write_plan([*self.waiting])
        self._start()

    def _report_warnings(self) -> None:
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(self.reported)
            new = file.read()
            self.reported += new.rfind(b"\n") + 1
            for warning in WARNING.findall(new):
                self.report(warning.decode(errors="replace"))
