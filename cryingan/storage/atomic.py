"""Write files and folders so that they appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from cryingan.errors import CryinGANError

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `cryingan`; in a clone, the repository."""


@contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open `PATH.part` for writing and rename it to `path` when the block ends, so that `path` is never half written.

    The bytes are on the disk (fsync) before the rename. When the block raises, `PATH.part` is removed and an existing
    `path` stays as it was. The folder must exist.

    Raises:
        CryinGANError: the folder is missing or not writable, or the disk is full; names `path` and the reason.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        raise CryinGANError(f"{path} cannot be written: {error.strerror or error}") from error


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON by `replace_file`."""
    with replace_file(path) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")


@contextmanager
def replace_folder(path: Path, replaceable: str) -> Iterator[Path]:
    """Make the folder `PATH.part` and rename it to `path` when the block ends.

    An existing folder is renamed to `PATH.old` first and removed last; a kill between the renames leaves it there.

    Args:
        path: the folder to write; its parent must exist.
        replaceable: regular expression that all names in an existing folder match; another folder is not replaced.

    Raises:
        CryinGANError: `path` holds other files, or cannot be written.
    """
    try:
        path = path.resolve()  # of a linked folder the content is replaced, not the link
        part, old = path.with_name(path.name + ".part"), path.with_name(path.name + ".old")
        if path.exists() and not all(re.fullmatch(replaceable, item.name) for item in path.iterdir()):
            raise CryinGANError(f"{path} holds other files, which would be lost; give a new folder")
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            yield part
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            part.rename(path)
            sync_folder(path.parent)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise CryinGANError(f"{path} cannot be written: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut, if the filesystem can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def make_folder(path: str | Path) -> Path:
    """Make a folder and its parents, unless they exist; a CryinGANError names it and why it cannot be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CryinGANError(f"{path} cannot be made: {error.strerror or error}") from error
    return Path(path)


def remove_without_files(path: Path, *negligible: str) -> None:
    """Remove a folder that holds nothing but empty folders and files of `negligible` names; leave any other."""
    if all(inner.is_dir() or inner.name in negligible for inner in path.rglob("*")):
        shutil.rmtree(path, ignore_errors=True)
