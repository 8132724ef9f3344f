"""One process that relaxes samples in the background of a training: `python -m cryingan.relax_worker` and its owner.

The owner writes lines of JSON to the process: first the plan, then the folders to relax, one after the other. What
comes of them lies in the folders, so either side may be killed at any moment. The process ends with its owner.
"""

from __future__ import annotations

import contextlib
import json
import logging
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

from cryingan.errors import CryinGANError
from cryingan.relaxed_samples import SUMMARY, Plan, SampleRelaxer, read_summary

ERROR = "error.txt"  # why the relaxation of a folder was given up
DEATHS = 3  # of the process in one folder, after which the folder is given up
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_FINISH = 5  # for a process without an owner; in the middle of a relaxation it is ended then
SECONDS_TO_END = 15
PRIORITY = 10  # training goes first


class BackgroundRelaxer:
    """Owns the process: feeds it folders, tells which are done, and starts it again when it dies.

    Args:
        plan: how to relax.
        log: file for what the process prints.
        report: told in one line about deaths and errors.
    """

    def __init__(self, plan: Plan, log: Path, report: Callable[[str], None]) -> None:
        self.plan, self.log, self.report = plan, log, report
        self.waiting: dict[Path, int] = {}  # folders in their order, with the deaths in each
        self._start()

    def wait_until_ready(self) -> None:
        """Wait until the potential is loaded and verified.

        Raises:
            CryinGANError: what the process could not do.
        """
        answer = self.process.stdout.readline()
        if not answer:
            raise CryinGANError(f"the relaxation process ended at once; its output is in {self.log}")
        if error := json.loads(answer):
            raise CryinGANError(error)

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
            self._give_up(folder, (folder / ERROR).read_text())
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
        self.process.stdout.close()

    def _end_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def _start(self) -> None:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cryingan.relax_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the training, which then ends this one
            )
        self._send(asdict(self.plan))

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
            self._give_up(first, f"the relaxation process {how}, {DEATHS} times there; see {self.log}")
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
        self.waiting: dict[Path, int] = {}
        self.done: list[Path] = []

    def wait_until_ready(self) -> None:
        """The potential is loaded already."""

    def submit(self, folder: Path) -> None:
        """Relax the samples in a folder."""
        _reset(folder)
        attempt(self.relaxer, folder)
        if (folder / ERROR).exists():
            self.report(f"relaxation of {folder.name} is given up: {(folder / ERROR).read_text()}")
        else:
            self.done.append(folder)

    def poll(self) -> list[Path]:
        """Folders that are done since the last call."""
        done, self.done = self.done, []
        return done

    def wait(self, stop: Callable[[], bool]) -> list[Path]:
        """The same: there is nothing to wait for."""
        return self.poll()

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    """What the process does."""
    os.nice(PRIORITY)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print; only answers go to the owner
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cryingan").setLevel(logging.INFO)
    plan = Plan(**json.loads(sys.stdin.readline()))
    folders: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(folders,), daemon=True).start()
    try:
        relaxer, error = SampleRelaxer(plan), None
    except CryinGANError as reason:
        error = str(reason)
    print(json.dumps(error), file=answers, flush=True)
    if error is not None:
        sys.exit(error)
    while (folder := folders.get()) is not None:
        print(f"relaxing {folder}", file=sys.stderr, flush=True)
        attempt(relaxer, folder)


def _reset(folder: Path) -> None:
    """What was said of the folder before does not count."""
    for name in (ERROR, SUMMARY):
        (folder / name).unlink(missing_ok=True)


def attempt(relaxer: SampleRelaxer, folder: Path) -> None:
    """Relax a folder, or leave word there why that cannot be."""
    try:
        relaxer(folder)
    except CryinGANError as error:
        (folder / ERROR).write_text(str(error))


def _listen(folders: queue.SimpleQueue[Path | None]) -> None:
    """Take in folders; when the owner is gone, end this process and those that it has started."""
    for line in sys.stdin:
        folders.put(Path(json.loads(line)))
    folders.put(None)
    time.sleep(SECONDS_TO_FINISH)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(0)


if __name__ == "__main__":
    main()
