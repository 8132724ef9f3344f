"""Files that appear whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cryingan.errors import CryinGANError


@contextmanager
def replace_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open `PATH.part` for writing and move it to `path` when the block ends, so that `path` is never half written.

    The bytes are on the disk (fsync) before the move. When the block raises, `PATH.part` is removed and an existing
    `path` stays as it was.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        A binary file object.

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


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut, where the filesystem can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        CryinGANError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CryinGANError(f"{path} cannot be read: {error.strerror or error}") from error
