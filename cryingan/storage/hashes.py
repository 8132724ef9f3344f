"""SHA-256 of files, arrays and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cryingan.errors import CryinGANError

OUTPUT = "directory"  # argument of ASE's calculators: a folder that changes while they compute


def content(value: Any) -> Any:
    """Replace paths of files by their SHA-256, and paths of folders by the SHA-256 of their files by relative path.

    Args:
        value: a setting, or lists and mappings of settings; the value of a key `directory` is left alone.

    Raises:
        CryinGANError: a file cannot be read.
    """
    if isinstance(value, Mapping):
        return {key: item if key == OUTPUT else content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    if isinstance(value, str | Path) and str(value):
        with suppress(OSError):  # of a text that is too long for a path
            path = Path(value)
            if path.is_file():
                return file_hash(path)
            if path.is_dir():
                files = sorted(file for file in path.rglob("*") if file.is_file())
                return {file.relative_to(path).as_posix(): file_hash(file) for file in files}
    return value


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of plain settings, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits; a CryinGANError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CryinGANError(f"{path} cannot be read: {error.strerror or error}") from error


def arrays_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of the shapes and the bytes of arrays, as 64 hexadecimal digits.

    Round coordinates before: their last digits depend on the processor.
    """
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
