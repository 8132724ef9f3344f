"""What a run folder says of the run itself: run.json (command, versions, how it failed) and times.csv."""

from __future__ import annotations

import csv
import io
import json
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
    """times.csv as epoch and seconds of training at its end, shape (epochs, 2); without a line cut by a kill."""
    path = folder / TIMES
    text = path.read_text() if path.exists() else ""
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    return np.array([[float(row[name]) for name in TIME_COLUMNS] for row in rows]).reshape(-1, len(TIME_COLUMNS))
