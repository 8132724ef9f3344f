"""Throughput of R runs trained together against R runs one after the other: `python -m benchmarks.replicas`.

Trains as train.py does, with metrics.csv but without other callbacks, for some epochs of two cycles. Runs
alone and together take turns; times are per epoch, medians over all but the first of each training. On a CPU they are
CPU time of the process, on a GPU they are elapsed, with the device idle at both ends.

    python -m benchmarks.replicas [--replicas 2 4 12] [--device cuda] [--rounds 3] [--output FILE.csv] [KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from benchmarks import command
from benchmarks.tables import write_table
from configs.entry import compose
from cryingan.training.lockstep import Lockstep, Member
from cryingan.training.together import each_run
from train import prepare, use_threads


@dataclass
class Result:
    """One line of the table.

    Attributes:
        alone: milliseconds per step of one run.
        together: milliseconds per step of all.
        throughput: steps per second of all runs together, by that of runs one after the other.
    """

    replicas: int
    alone: float
    together: float
    throughput: float


class Stopwatch(Callback):
    """Seconds of every epoch but the first, with all that belongs to it."""

    def __init__(self, device: str) -> None:
        self.device, self.begun, self.times = device, None, []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """End an epoch and begin the next."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter() if self.device == "cuda" else time.process_time()
        if trainer.current_epoch > 1:
            self.times.append(now - self.begun)
        self.begun = now


def epochs(replicas: int, arguments: argparse.Namespace) -> list[float]:
    """Seconds per epoch of so many runs that are trained together; one is an ordinary run."""
    with tempfile.TemporaryDirectory() as folder:
        place = [f"run_dir={folder}/${{seed}}", f"replicas={replicas}", f"trainer.max_epochs={arguments.epochs + 2}"]
        where = "gpu" if arguments.device == "cuda" else "cpu"
        short = [f"trainer.limit_train_batches={arguments.steps}", f"trainer.accelerator={where}", "logger=csv"]
        short += ["trainer.check_val_every_n_epoch=1000000"]
        config = compose("train", *short, *arguments.overrides, *place)
        config["callbacks"] = {}
        use_threads(config["threads"])
        runs: list[Any] = []
        for one in each_run(config):
            runs.append(prepare(one, beside=runs[0] if runs else None, together=replicas > 1))
        watch = Stopwatch(arguments.device)
        runs[0].trainer.callbacks.insert(0, watch)
        if replicas == 1:
            runs[0].fit()
        else:
            Lockstep(report=_raise).run([Member(run.model, run.fit, str(run.folder)) for run in runs])
    return watch.times


def _raise(member: Member) -> None:
    raise member.error


def measure(replicas: int, arguments: argparse.Namespace) -> Result:
    """Both sides in turns."""
    times: dict[int, list[float]] = {1: [], replicas: []}
    for number in range(arguments.rounds):
        for count in (1, replicas) if number % 2 else (replicas, 1):
            times[count] += epochs(count, arguments)
    alone, together = (1000 * statistics.median(times[count]) / arguments.steps for count in (1, replicas))
    return Result(replicas, alone, together, replicas * alone / together)


def main() -> None:
    """Measure, print, and write the table."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--replicas", nargs="+", type=command.at_least(2), default=[2, 4, 12])
    parser.add_argument("--rounds", type=command.positive, default=3)
    parser.add_argument("--epochs", type=command.positive, default=5)
    parser.add_argument("--steps", type=command.positive, default=10, help="of the discriminators in an epoch")
    parser.add_argument("--device", type=command.device, default="cpu")
    parser.add_argument("--output", type=command.output, help="CSV to write")
    arguments = command.parse_with_overrides(parser)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    os.environ["WANDB_MODE"] = "offline"
    print(f"{'replicas':>10}{'alone, ms':>12}{'together, ms':>14}{'throughput':>12}", flush=True)
    results = []
    with command.told_in_one_line():
        for replicas in arguments.replicas:
            results.append(result := measure(replicas, arguments))
            line = f"{result.replicas:>10}{result.alone:>12.2f}{result.together:>14.2f}{result.throughput:>12.2f}"
            print(line, flush=True)
            if arguments.output:
                write_table(arguments.output, [asdict(result) for result in results])


if __name__ == "__main__":
    main()
