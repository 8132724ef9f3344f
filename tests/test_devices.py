"""The C library's memory, in a process of its own."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

FAULTS = """
import resource
import sys

import torch

from cryingan.devices import keep_freed_memory

if sys.argv[1:]:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(40):
    torch.zeros(2**24).add_(1)  # 64 MiB, more than glibc's own threshold ever rises to
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_freed_memory_is_there_for_the_next_tensor():
    """Otherwise every page of every tensor comes anew from the kernel."""

    def faults(*keep: str) -> int:
        call = [sys.executable, "-c", FAULTS, *keep]
        return int(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < faults() / 2
