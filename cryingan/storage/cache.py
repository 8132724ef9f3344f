"""The folder for caches: hidden, beside the data, safe to delete."""

from pathlib import Path


def cache_folder(path: str | Path) -> Path:
    """Folder `.cryingan` beside a file or folder of data; it may not exist yet.

    >>> cache_folder("data/set.extxyz").as_posix()
    'data/.cryingan'
    """
    return Path(path).parent / ".cryingan"
