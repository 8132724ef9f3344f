"""The end of a job that its queue announces with a signal: the epoch is finished, and the job queued again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""`sbatch --signal=USR1@300` and, by default, submitit send one of them."""


class EndOfJob:
    """Whether the end of this process has been announced, by which signal, and what then stopped early.

    Attributes:
        number: of the signal; None before.
        stopped: because of it something is left to do: epochs of a training, or relaxations of its samples.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.stopped = False
        self.handlers: dict[int, Any] = {}

    @property
    def announced(self) -> bool:
        """Whether the signal has come."""
        return self.number is not None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take note of the signals instead of ending at once; afterwards queue the job again if something is left."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.number, self.stopped = None, False
        self.handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in self.handlers.items():
                signal.signal(number, handler)
        if self.announced and self.stopped:
            self._requeue(self.handlers[self.number])

    def _note(self, number: int, _: Any) -> None:
        self.number = number

    def _requeue(self, handler: Callable[[int, Any], Any] | int | None) -> None:
        """Leave it to the handler of before, which is submitit's; or ask Slurm; or end as other signals do."""
        name = signal.Signals(self.number).name
        print(f"{name}: stopped before all was done; the same command resumes", flush=True)
        if callable(handler):
            handler(self.number, None)
        elif (job := slurm_job()) and os.environ.get("SLURM_PROCID", "0") == "0":
            try:
                subprocess.run(["scontrol", "requeue", job], check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"job {job} was not queued again: {error}", file=sys.stderr, flush=True)
        sys.exit(128 + self.number)


def slurm_job() -> str | None:
    """The batch job that this process runs in, in the form that scontrol takes; None outside of one."""
    array, task = (os.environ.get(name) for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"))
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


END_OF_JOB = EndOfJob()
"""Of this process: signals are its, not a run's."""
