"""What a build may write over."""

from __future__ import annotations

from pathlib import Path

from cryingan.errors import CryinGANError
from cryingan.structures.files import read_structures


def require_no_larger_set(path: Path, n: int, made: int | None = None) -> None:
    """Refuse to build a set where a larger one is, such as one that comes with the project.

    Args:
        path: the file of structures that would be written.
        n: structures that are wanted.
        made: structures that were made for the set in the file; None: as many as it holds.

    Raises:
        CryinGANError: there were more.
    """
    if not path.exists():
        return
    made = len(read_structures(path)) if made is None else made
    if made > n:
        raise CryinGANError(f"n={n}: {path} is a set of {made}, which fewer would replace; folder=... builds elsewhere")
