"""The process that relaxes in the background, and its owner."""

import subprocess
import sys
import time

import pytest

from cryingan.samples.worker import PRIORITY

OWNER = """
import sys, time
from pathlib import Path
from cryingan.samples.background import BackgroundRelaxer
from cryingan.samples.plan import Plan

relaxer = BackgroundRelaxer(Plan({"kind": "pair"}, {"backend": "serial"}), Path(sys.argv[1]), print)
print(relaxer.process.pid, flush=True)
time.sleep(600)
"""


def state(pid):
    """Priority and state of a process; nothing when it has ended."""
    command = ["ps", "-o", "ni=,stat=", "-p", str(pid)]
    fields = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return fields if fields and not fields[1].startswith("Z") else []


@pytest.mark.parametrize("at_work", [False, True])
def test_the_process_ends_with_its_owner(tmp_path, time_limit, at_work):
    """However the owner ends; `at_work`: when the process has begun to load its potential."""
    time_limit(200)
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            pid = int(owner.stdout.readline())
            while at_work and state(pid)[0] != str(PRIORITY):
                time.sleep(0.1)
        finally:
            owner.kill()
    while state(pid):
        time.sleep(0.1)
