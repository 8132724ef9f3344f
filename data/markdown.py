"""Tables and paragraphs of the pages that builders write."""

from __future__ import annotations

import textwrap
from typing import Any


def table(*rows: list[Any]) -> str:
    """A Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def filled(text: str) -> str:
    """Text in lines of at most 118 characters."""
    return textwrap.fill(" ".join(text.split()), width=118, break_long_words=False, break_on_hyphens=False)
