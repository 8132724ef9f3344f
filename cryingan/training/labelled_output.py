"""Prefix the lines that several trainings in one process print with the name of their run."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO


class LabelledOutput(io.TextIOBase):
    """Pass text on to a stream, with the thread's name before each line that one of some threads prints."""

    def __init__(self, stream: TextIO, threads: Collection[threading.Thread]) -> None:
        self.stream, self.threads, self.at_start = stream, threads, True

    def write(self, text: str) -> int:
        """Write text, labelled by line."""
        thread = threading.current_thread()
        label = f"[{thread.name}] " if thread in self.threads else ""
        for line in text.splitlines(keepends=True):
            self.stream.write(label * self.at_start + line)
            self.at_start = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


def unlabelled() -> TextIO:
    """Return standard output without labels, for a line about all trainings."""
    return sys.stdout.stream if isinstance(sys.stdout, LabelledOutput) else sys.stdout


@contextmanager
def labelled_output(threads: Collection[threading.Thread]) -> Iterator[None]:
    """Label what some threads print on standard output and error within a block."""
    with (
        redirect_stdout(LabelledOutput(sys.stdout, threads)),
        redirect_stderr(LabelledOutput(sys.stderr, threads)),
    ):
        yield
