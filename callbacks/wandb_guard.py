"""Keep a training apart from what happens to its W&B run."""

from __future__ import annotations

from collections.abc import Callable
from inspect import ismethod
from typing import Any

from cryingan.storage.text import in_one_line


class GuardedRun:
    """A W&B run whose errors end no training: each is printed once, in a line, and what could not be sent is left out.

    Has the attributes and methods of the run; a method that fails returns None.

    Args:
        run: the W&B run.
    """

    def __init__(self, run: Any) -> None:
        self.run = run
        self.told: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.run, name)
        if not ismethod(value):
            return value
        return lambda *arguments, **keys: self.attempt(lambda _: value(*arguments, **keys))

    def attempt(self, job: Callable[..., Any], *arguments: Any) -> Any:
        """Call `job` with this run and the arguments, and return what it returns; None where it fails."""
        try:
            return job(self, *arguments)
        except Exception as error:  # whatever it is: metrics.csv and the run folder have everything
            line = f"W&B: {in_one_line(error)}; the run continues, and its folder has everything"
            if line not in self.told:
                print(line, flush=True)
            self.told.add(line)
            return None
