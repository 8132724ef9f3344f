"""The folder for caches: hidden, beside the data, safe to delete."""

import glob
from pathlib import Path


def cache_folder(path: str | Path) -> Path:
    """Folder `.cryingan` beside a file or folder of data, or above all files of a pattern; it may not exist yet.

    >>> cache_folder("data/set.extxyz").as_posix(), cache_folder("data/set*/*.cif").as_posix()
    ('data/.cryingan', 'data/.cryingan')
    """
    parents = Path(path).parents
    return next(one for one in parents if one.is_dir() or not glob.has_magic(str(one))) / ".cryingan"
