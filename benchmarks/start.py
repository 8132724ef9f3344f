"""Seconds from the command to the first training step: `python -m benchmarks.start [KEY=VALUE ...]`.

Runs train.py for one batch and prints CPU time of the process when its first step begins and when it has ended. Run it
twice: the first time, Python and the system fill their caches.
"""

import sys
import tempfile
import time
from typing import Any

from lightning.pytorch.callbacks import Callback

import train


class Clock(Callback):
    """Prints the CPU time so far around the first step."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Everything is ready."""
        print(f"first step begins after {time.process_time():.1f} s of CPU time", flush=True)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """One step of the discriminators and one of the generator are done."""
        print(f"first step ends after {time.process_time():.1f} s", flush=True)


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__)
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        off = [f"~callbacks.{name}" for name in ("quality", "structures", "summary")]
        one = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", f"run_dir={folder}/run"]
        clock = "+callbacks.clock={_target_: benchmarks.start.Clock}"
        sys.argv[1:] = [*off, *one, clock, *sys.argv[1:]]
        train.run("train", train.train)
