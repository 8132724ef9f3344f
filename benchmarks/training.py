"""A real training for some seconds: time to the first step, steps per second, how busy the GPU is, memory.

    python -m benchmarks.training [--device cuda] [--seconds 60] [--output FILE.csv] [KEY=VALUE ...]

Trains as train.py does, in a folder that is removed afterwards, until the epoch in which the time is over. Steps are
counted from the tenth on, up to the end of the last epoch; waiting for relaxations at the end is not among them. The
GPU is busy while a kernel of any process runs, as `nvidia-smi` tells (NVML's utilization, five times a second); without
it the share is not measured. On a CPU it is CPU time by elapsed time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from benchmarks import command
from benchmarks.tables import write_table
from configs.entry import compose
from train import prepare, use_threads

FIRST = 10  # step from which on time is taken
QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200")


def age() -> float:
    """Seconds since this process was started (Linux)."""
    started = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


class Utilization:
    """The mean share of time in which the first GPU is busy, between `begin` and `end`."""

    def __init__(self, device: str) -> None:
        self.device, self.process = device, None

    def begin(self) -> None:
        """Begin to look."""
        self.begun = time.perf_counter(), time.process_time()
        if self.device.startswith("cuda") and shutil.which(QUERY[0]):
            index = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
            self.process = subprocess.Popen([*QUERY, "-i", index.split(",")[0]], stdout=subprocess.PIPE, text=True)

    def end(self) -> float | None:
        """The share; None where it is not known."""
        if not self.device.startswith("cuda"):
            return (time.process_time() - self.begun[1]) / (time.perf_counter() - self.begun[0])
        if self.process is None:
            return None
        self.process.terminate()
        shares = [int(line) for line in self.process.communicate()[0].split() if line.isdigit()]
        return statistics.mean(shares) / 100 if shares else None


class Watch(Callback):
    """Takes time and counts steps."""

    def __init__(self, device: str) -> None:
        self.device, self.utilization = device, Utilization(device)
        self.steps, self.ready, self.begun, self.ended = 0, 0.0, None, (0.0, 0)

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        """Everything is ready at the first one."""
        self.ready = self.ready or age()

    def on_train_batch_end(self, *_: Any) -> None:
        """Begin to count after the first steps."""
        self.steps += 1
        if self.steps == FIRST:
            self.begun = self._now()
            self.utilization.begin()

    def on_train_epoch_end(self, *_: Any) -> None:
        """The last epoch is the end."""
        self.ended = self._now(), self.steps

    def on_train_end(self, *_: Any) -> None:
        """Nothing is trained from here on."""
        self.busy = self.utilization.end() if self.begun else None

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    def row(self, trainer: Any, name: str) -> dict[str, object]:
        """What was measured."""
        seconds = self.ended[0] - self.begun if self.begun else 0.0
        steps = self.ended[1] - FIRST
        memory = torch.cuda.max_memory_allocated() / 2**30 if self.device.startswith("cuda") else None
        return {
            "run": name,
            "seconds_to_first_step": self.ready,
            "epochs": trainer.current_epoch,
            "steps": steps,
            "steps_per_second": steps / seconds if seconds > 0 and steps > 0 else None,
            "busy": self.busy,
            "memory": memory,
            "seconds_with_everything": age(),
        }


def main() -> None:
    """Train, print, and write the row."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--seconds", type=command.positive, default=60)
    parser.add_argument("--output", type=command.output, help="CSV to write")
    arguments = command.parse_with_overrides(parser)
    os.environ["WANDB_MODE"] = "offline"
    with tempfile.TemporaryDirectory() as folder, command.told_in_one_line():
        days, rest = divmod(arguments.seconds, 86400)
        limit = time.strftime(f"{days:02}:%H:%M:%S", time.gmtime(rest))
        where = "gpu" if arguments.device.startswith("cuda") else "cpu"
        own = [f"run_dir={folder}/run", f"trainer.max_time='{limit}'", f"trainer.accelerator={where}"]
        config = compose("train", *arguments.overrides, *own)
        use_threads(config["threads"])
        run, watch = prepare(config), Watch(arguments.device)
        run.trainer.callbacks.insert(0, watch)
        run.fit()
        row = watch.row(run.trainer, " ".join(arguments.overrides[:2]))
    print(" ".join(f"{key}={value}" for key, value in row.items()))
    if arguments.output:
        write_table(arguments.output, [row])


if __name__ == "__main__":
    main()
