"""Where caches stand: one hidden folder beside the data, which may be deleted at any time."""

from pathlib import Path


def cache_folder(path: str | Path) -> Path:
    """The folder for caches of a file or folder of data, `.cryingan` beside it; whoever writes there makes it.

    >>> cache_folder("data/set.extxyz").as_posix()
    'data/.cryingan'
    """
    return Path(path).parent / ".cryingan"
