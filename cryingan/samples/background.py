"""Who relaxes the samples of a training: another process in the background, or the training itself."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from cryingan.errors import CryinGANError
from cryingan.relaxation.workers import DEATHS
from cryingan.samples.folder import SUMMARY, read_summary
from cryingan.samples.plan import Plan
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.samples.worker import ERROR, attempt, leave_word
from cryingan.storage.atomic import ROOT

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_END = 15


class BackgroundRelaxer:
    """Owns the process: feeds it folders, tells which are done, and starts it again when it dies.

    Args:
        plan: how to relax.
        log: file for what the process prints.
        report: told in one line about deaths, errors and warnings.
    """

    def __init__(self, plan: Plan, log: Path, report: Callable[[str], None]) -> None:
        self.plan, self.log, self.report = plan, log, report
        self.waiting: dict[Path, int] = {}  # folders in their order, with the deaths in each
        self._start()

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until the potential is loaded and verified; what is known of the energy scale by then.

        Raises:
            CryinGANError: what the process could not do.
        """
        answer = self.ready.get()
        if "error" in answer:
            raise CryinGANError(answer["error"])
        return answer["scale"]

    def submit(self, folder: Path) -> None:
        """Have the samples in a folder relaxed."""
        _reset(folder)
        self.waiting[folder] = 0
        self._send(str(folder))

    def poll(self) -> list[Path]:
        """Folders that are done since the last call; a process that died is started again."""
        done = [folder for folder in self.waiting if read_summary(folder) is not None]
        for folder in done:
            del self.waiting[folder]
        for folder in [folder for folder in self.waiting if (folder / ERROR).exists()]:
            self._give_up(folder, (folder / ERROR).read_text().splitlines()[0])
        if self.waiting and self.process.poll() is not None:
            self._restart()
        return done

    def wait(self, stop: Callable[[], bool]) -> list[Path]:
        """Wait until a folder is done, none is left or `stop` says so; the folders that are done."""
        while not (done := self.poll()) and self.waiting and not stop():
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return done

    def close(self) -> None:
        """End the process; what it has not finished can be gone on with later."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.waiting:
            self._end_group()
        try:
            self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end_group()  # what it has started outlives it when it is killed
        self.listener.join(SECONDS_TO_END)

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def _start(self) -> None:
        root = str(ROOT)
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        with open_log(self.log) as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cryingan.samples.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the training, which then ends this one
            )
        self._send(asdict(self.plan))
        self.ready: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.listener = threading.Thread(target=self._hear, args=(self.process.stdout, self.ready), daemon=True)
        self.listener.start()

    def _hear(self, answers: TextIO, ready: queue.SimpleQueue[dict[str, Any]]) -> None:
        """Take in what the process says until it ends."""
        with answers:
            for line in answers:
                if "warning" in (answer := json.loads(line)):
                    self.report(answer["warning"])
                else:
                    ready.put(answer)
        ready.put({"error": f"the relaxation process ended at once; its output is in {self.log}"})

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # a process that died is noticed by poll
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _restart(self) -> None:
        first, ended = next(iter(self.waiting)), self.process.returncode
        how = f"was killed by {signal.Signals(-ended).name}" if ended < 0 else f"ended with exit code {ended}"
        self.close()
        self.waiting[first] += 1
        if self.waiting[first] == DEATHS:
            error = f"the relaxation process {how}, {DEATHS} times there; see {self.log}"
            leave_word(first, error)
            self._give_up(first, error)
        else:
            self.report(f"the relaxation process {how} in {first.name} and is started again (output: {self.log})")
        self._start()  # also when nothing waits: the next evaluation comes
        for folder in self.waiting:
            self._send(str(folder))

    def _give_up(self, folder: Path, error: str) -> None:
        del self.waiting[folder]
        self.report(f"relaxation of {folder.name} is given up: {error}")


class InlineRelaxer:
    """The same without a process: a folder is done when `submit` returns. Takes the same arguments."""

    def __init__(self, plan: Plan, log: Path, report: Callable[[str], None]) -> None:
        self.relaxer, self.report = SampleRelaxer(plan), report
        self.relaxer.prepare()
        self.waiting: dict[Path, int] = {}
        self.done: list[Path] = []

    def wait_until_ready(self) -> dict[str, Any]:
        """The potential is loaded already; the energy scale."""
        return self.relaxer.scale.record()

    def submit(self, folder: Path) -> None:
        """Relax the samples in a folder."""
        _reset(folder)
        error = attempt(self.relaxer, folder)
        if error is None:
            self.done.append(folder)
        else:
            self.report(f"relaxation of {folder.name} is given up: {error}")

    def poll(self) -> list[Path]:
        """Folders that are done since the last call."""
        done, self.done = self.done, []
        return done

    def wait(self, stop: Callable[[], bool]) -> list[Path]:
        """The same: there is nothing to wait for."""
        return self.poll()

    def close(self) -> None:
        """Nothing is open."""


def open_log(path: Path) -> BinaryIO:
    """A file to write at the end of; CryinGANError where that cannot be."""
    try:
        return path.open("ab")
    except OSError as error:
        raise CryinGANError(f"{path} cannot be written: {error.strerror}") from error


def _reset(folder: Path) -> None:
    """What was said of the folder before does not count."""
    for name in (ERROR, SUMMARY):
        (folder / name).unlink(missing_ok=True)
