"""Open text files, compressed or not, and quote them in error messages."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from cryingan.errors import CryinGANError

DECOMPRESSORS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@contextmanager
def open_text(path: Path) -> Iterator[tuple[TextIOWrapper, BinaryIO]]:
    """Open a text file, decompressed by its suffix; also yields the raw file, whose position shows progress."""
    try:
        with path.open("rb") as raw:
            binary = DECOMPRESSORS[path.suffix](raw) if path.suffix in DECOMPRESSORS else raw
            yield TextIOWrapper(binary, encoding="utf-8-sig", errors="replace"), raw
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise CryinGANError(f"{path} cannot be read: {in_one_line(error)}") from error


def in_one_line(error: Exception) -> str:
    """The message of a library's error on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def shortened(text: str) -> str:
    """Printable quotation of a text, at most 60 characters of it."""
    text = text.strip()
    return repr(text if len(text) <= 60 else text[:57] + "...")
