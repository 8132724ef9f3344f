"""Report the progress of long work on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 30.0


def reported(
    ending: Iterable[Item],
    total: int | Callable[[int, Item], int | None],
    doing: str,
    done: str,
    before: int = 0,
    size: Callable[[Item], int] = lambda _: 1,
) -> Iterator[Item]:
    """Pass results on and report them: a bar with the time left on a terminal, otherwise a line every 30 s.

    Args:
        ending: results, as they end, one at a time or more.
        total: number of results, with those before; or an estimate from the number of those that are there and the last
            of them, None while there is none.
        doing: the activity, such as `relaxing`, for the bar.
        done: the participle, such as `relaxed`, for the lines.
        before: number of results that are there already.
        size: number of results in an item.
    """
    from rich.console import Console
    from rich.progress import Progress

    terminal, estimated = sys.stderr.isatty(), callable(total)  # rich takes FORCE_COLOR, which notebooks set, for one
    number, start = before, time.monotonic()
    last = start
    with Progress(console=Console(stderr=True), disable=not terminal) as bar:
        task = bar.add_task(doing, total=None if estimated else total, completed=before)
        for item in ending:
            number += size(item)
            yield item
            expected, now = total(number, item) if estimated else total, time.monotonic()
            bar.update(task, completed=number, total=expected)
            if not terminal and (number == total or now - last >= SECONDS_BETWEEN_LINES):
                about, each = "about " if estimated else "", (now - start) / (number - before)
                left = f" of {about}{expected}, {each * (expected - number):.0f} s left" if expected else ""
                print(f"{done} {number}{left}", file=sys.stderr, flush=True)
                last = now
        if estimated:
            bar.update(task, total=number)
            if not terminal:
                print(f"{done} {number} of {number}, 0 s left", file=sys.stderr, flush=True)
