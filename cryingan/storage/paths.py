"""Paths as users type them."""

from __future__ import annotations

import os
from pathlib import Path


def home_expanded(path: str) -> str:
    """A path whose `~` or `~user` at the beginning is replaced by the home folder; of an unknown user as it is.

    Example:
        >>> home_expanded("runs/~"), home_expanded("~/runs") == str(Path.home() / "runs")
        ('runs/~', True)
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:  # no such user
        return path


def is_there(path: str) -> bool:
    """Whether a file or folder has this path, `~` expanded."""
    return bool(path) and os.path.lexists(home_expanded(path))
