"""Report the progress of long work on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 30.0


def reported(ending: Iterable[Item], total: int | None, doing: str, done: str) -> Iterator[Item]:
    """Pass results on and report them: a bar with the time left on a terminal, otherwise a line every 30 s.

    Args:
        ending: results, as they end.
        total: expected number of results; None if it is unknown.
        doing: the activity, such as `relaxing`, for the bar.
        done: the participle, such as `relaxed`, for the lines.
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
            left = f" of {total}, {(now - start) / number * (total - number):.0f} s left" if total else ""
            print(f"{done} {number}{left}", file=sys.stderr, flush=True)
            last = now
