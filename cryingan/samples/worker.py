"""The process that relaxes samples in the background of a training: `python -m cryingan.samples.worker PLAN`.

PLAN, which `cryingan.samples.background.BackgroundRelaxer` writes in JSON, says how to relax and which folders wait.
Results and errors are written to the folders, so either process may be killed at any moment. This one ends with its
owner, which holds the other end of its standard input.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from cryingan.samples.folder import has_ended
from cryingan.samples.plan import Plan
from cryingan.samples.relaxer import SampleRelaxer

SECONDS_BETWEEN_LOOKS = 0.2
PRIORITY = 10  # training goes first


def main() -> None:
    """Relax the folders of a plan until the owner ends."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    os.nice(PRIORITY)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")  # the owner looks for warnings
    logging.getLogger("cryingan").setLevel(logging.INFO)
    path = Path(sys.argv[1])
    relaxer = SampleRelaxer(Plan(**json.loads(path.read_bytes())["plan"]))
    with contextlib.suppress(Exception):  # met again, and written down, when a folder is relaxed
        relaxer.prepare()
    while True:
        folders = map(Path, json.loads(path.read_bytes())["folders"])
        folder = next((folder for folder in folders if not has_ended(folder)), None)
        if folder is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        print(f"relaxing {folder}", flush=True)
        error = relaxer.attempt(folder)
        if error is not None and not has_ended(folder):  # error.txt cannot be written
            sys.exit(error)


def _end_with_owner() -> None:
    """End this process and those that it has started once the owner is gone."""
    sys.stdin.buffer.read()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(1)


if __name__ == "__main__":
    main()
