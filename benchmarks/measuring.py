"""What the benchmarks measure, and how: seconds, memory, sides that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

# Atoms of every species, and lattice vectors in rows, Angstrom.
SYSTEMS = {
    "interface": ({"Li": 72, "Co": 36, "Sc": 12, "O": 72, "Cl": 72}, [[12.31, 0, 0], [4.23, 16.57, 0], [0, 0, 27.0]]),
    "li2o_licl": ({"Li": 46, "O": 15, "Cl": 16}, [[7.353, 0, 0], [0, 7.353, 0], [0, 0, 33.44]]),
    "alloy": ({"Cr": 51, "Fe": 154, "Ni": 51}, [[14.4, 0, 0], [0, 14.4, 0], [0, 0, 14.4]]),
}


def seconds(action: Callable[[], object], device: str) -> float:
    """Time of one call: of the process on a CPU, of the device on a GPU."""
    if not device.startswith("cuda"):
        start = time.process_time()
        action()
        return time.process_time() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    action()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000


def take_turns(sides: Mapping[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of every side in every round; each round the other begins. One call of each goes before."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            taken = seconds(sides[name], device)
            if number >= 0:
                times[name].append(taken)
    return times


def peak_since(device: str, before: float = 0.0) -> float:
    """Largest memory since the last call less `before`, GiB; the count then starts anew at what is in use (Linux)."""
    if device.startswith("cuda"):
        largest = torch.cuda.max_memory_allocated() if before else torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return largest / 2**30 - before
    name = "VmHWM" if before else "VmRSS"
    lines = Path("/proc/self/status").read_text().splitlines()
    Path("/proc/self/clear_refs").write_text("5")
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 2**20 - before
