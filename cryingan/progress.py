"""Report the progress of long work on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 30.0


def reported(ending: Iterable[Item], total: int | None, doing: str, done: str, before: int = 0) -> Iterator[Item]:
    """Pass results on and report them: a bar with the time left on a terminal, otherwise a line every 30 s.

    Args:
        ending: results, as they end.
        total: expected number of results, with those before; None if it is unknown.
        doing: the activity, such as `relaxing`, for the bar.
        done: the participle, such as `relaxed`, for the lines.
        before: number of results that are there already.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(ending, doing, total=total, completed=before, console=console)
        return
    start = last = time.monotonic()
    for number, item in enumerate(ending, before + 1):
        yield item
        now = time.monotonic()
        if number == total or now - last >= SECONDS_BETWEEN_LINES:
            left = f" of {total}, {(now - start) / (number - before) * (total - number):.0f} s left" if total else ""
            print(f"{done} {number}{left}", file=sys.stderr, flush=True)
            last = now
