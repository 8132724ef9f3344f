"""How far long work has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 30.0


def reported(ending: Iterable[Item], total: int, doing: str, done: str) -> Iterator[Item]:
    """Pass results through; a bar with the time left on a terminal, otherwise a line now and then.

    Args:
        ending: results, as they end.
        total: how many there will be.
        doing: what is done to them, such as `relaxing`, for the bar.
        done: what they then are, such as `relaxed`, for the lines.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(ending, doing, total=total, console=console)
        return
    start = last = time.monotonic()
    for number, item in enumerate(ending, 1):
        yield item
        now = time.monotonic()
        if number == total or now - last >= SECONDS_BETWEEN_LINES:
            left = (now - start) / number * (total - number)
            print(f"{done} {number} of {total}, {left:.0f} s left", file=sys.stderr, flush=True)
            last = now
