"""The process that relaxes samples in the background of a training, `python -m cryingan.samples.worker`.

Its owner, `cryingan.samples.background.BackgroundRelaxer`, writes lines of JSON to it: first the plan, then the folders
to relax, one after the other. What comes of them lies in the folders, so either side may be killed at any moment. The
process answers with lines of JSON: that it is ready, or why not, and warnings that the user should see. It ends with
its owner.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from cryingan.errors import CryinGANError, OtherResultsError
from cryingan.samples.folder import set_results_aside
from cryingan.samples.plan import Plan
from cryingan.samples.relaxer import SampleRelaxer
from cryingan.storage.atomic import replace_file

log = logging.getLogger("cryingan.samples.worker")  # also when it is __main__

ERROR = "error.txt"  # why the relaxation of a folder was given up: one line, and the traceback of what nobody expected
SECONDS_TO_FINISH = 5  # for a process without an owner; in the middle of a relaxation it is ended then
PRIORITY = 10  # training goes first
LONGEST_REASON = 200  # characters


class Relay(logging.Handler):
    """Passes warnings on to the owner, whose user does not read the log."""

    def __init__(self, answers: TextIO) -> None:
        super().__init__(logging.WARNING)
        self.answers = answers

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one on."""
        _answer(self.answers, warning=record.getMessage())


def main() -> None:
    """What the process does."""
    os.nice(PRIORITY)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print; only answers go to the owner
    logging.basicConfig(format="%(message)s")
    logging.getLogger("cryingan").setLevel(logging.INFO)
    logging.getLogger("cryingan").addHandler(Relay(answers))
    plan = Plan(**json.loads(sys.stdin.readline()))
    folders: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(folders,), daemon=True).start()
    try:
        relaxer = SampleRelaxer(plan)
    except CryinGANError as error:
        _answer(answers, error=str(error))
        sys.exit(str(error))
    _answer(answers, scale=relaxer.scale.known())
    with contextlib.suppress(Exception):  # the evaluations meet it again and leave word
        relaxer.prepare()
    while (folder := folders.get()) is not None:
        print(f"relaxing {folder}", file=sys.stderr, flush=True)
        error = attempt(relaxer, folder)
        if error is not None and not (folder / ERROR).exists():
            sys.exit(error)


def attempt(relaxer: SampleRelaxer, folder: Path) -> str | None:
    """Relax a folder, whose results with other settings are set aside.

    Returns:
        None, or in one line why it cannot be done; the folder's `error.txt` then says so, too, with the traceback of
        what nobody expected.
    """
    try:
        try:
            relaxer(folder)
        except OtherResultsError:
            aside = set_results_aside(folder).name
            log.warning("%s: what other settings gave is in %s now; its samples are relaxed anew", folder, aside)
            relaxer(folder)
    except CryinGANError as reason:
        error, more = str(reason), ""
    except Exception as reason:
        said = " ".join(str(reason).split())[:LONGEST_REASON]
        error, more = f"{type(reason).__name__}: {said} (see {folder / ERROR})", traceback.format_exc()
    else:
        return None
    leave_word(folder, f"{error}\n{more}")
    return error


def _answer(answers: TextIO, **answer: Any) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def leave_word(folder: Path, text: str) -> None:
    """Write error.txt, where the disk takes it."""
    with contextlib.suppress(CryinGANError), replace_file(folder / ERROR) as file:
        file.write(text.encode())


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
