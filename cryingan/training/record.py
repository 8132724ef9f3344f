"""What a run folder says of the run itself: run.json (command, versions, how it failed) and times.csv."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from cryingan import __version__
from cryingan.storage.atomic import ROOT, write_json

RECORD, TIMES = "run.json", "times.csv"
TIME_COLUMNS = ("epoch", "seconds")


def code_version() -> dict[str, str | None]:
    """The version of the library, and of a clone the commit; `+changes` behind it where files differ from it."""
    commit = _git("rev-parse", "--short=12", "HEAD") if (ROOT / ".git").exists() else None
    if commit and _git("status", "--porcelain", "--untracked-files=no"):
        commit += "+changes"
    return {"version": __version__, "commit": commit or None}


def _git(*arguments: str) -> str:
    """What git prints of the clone; nothing where it fails or is not there."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def write_record(folder: Path, content: dict[str, Any]) -> None:
    """Write run.json."""
    write_json(folder / RECORD, content)


def read_record(folder: Path) -> dict[str, Any]:
    """The content of run.json; empty in folders of earlier versions, and where it cannot be read."""
    try:
        return dict(json.loads((folder / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def read_times(folder: Path) -> np.ndarray:
    """times.csv as epoch and seconds of training at its end, shape (epochs, 2).

    Only what stands before the first line that cannot be read, as one that a kill cut short; empty without a header.
    """
    path = folder / TIMES
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    header, *lines = text.split("\n")[:-1] or [""]
    rows: list[list[float]] = []
    for line in lines if header.split(",") == list(TIME_COLUMNS) else ():
        row = _numbers(line)
        if len(row) != len(TIME_COLUMNS):
            break
        rows.append(row)
    return np.array(rows).reshape(-1, len(TIME_COLUMNS))


def _numbers(line: str) -> list[float]:
    """The numbers of a line; empty where one is none, or not finite."""
    try:
        numbers = [float(text) for text in line.split(",")]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
