"""Locks between the processes of a machine: on a folder, and on a cache while one process fills it."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cryingan.errors import CryinGANError
from cryingan.storage.atomic import make_folder

LOCK = ".lock"
SECONDS_TO_WAIT = 10.0  # for another process in a folder: one that was killed may take a moment to end

log = logging.getLogger(__name__)


@contextmanager
def lock_folder(folder: str | Path, patient: bool = False) -> Iterator[None]:
    """Keep other processes of this machine out of a folder during a block. A killed process loses its lock.

    It locks the file `LOCK` there; the thread that holds it may lock again. With `patient` it waits up to 10 s for
    another process to leave.

    Raises:
        CryinGANError: another process is at work there, or the folder cannot be locked.
    """
    lock = _lock(Path(folder).resolve() / LOCK)
    try:
        lock.acquire(timeout=SECONDS_TO_WAIT if patient else 0)
    except Timeout as error:
        raise CryinGANError(f"another process is at work in {folder}; wait for it or choose another folder") from error
    except OSError as error:
        raise CryinGANError(f"{folder} cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_cache(path: Path, task: str, deadline: float = math.inf) -> Iterator[None]:
    """Have other processes wait while this one fills a cache file; no lock is taken if the filesystem refuses it.

    They say that they wait for another process that does the `task`, such as "describes set.extxyz", and wait until the
    deadline, seconds since 1970.

    Raises:
        CryinGANError: another process was still at work at the deadline.
    """
    lock = _lock(path.resolve().with_name(path.name + LOCK))
    try:
        make_folder(path.parent)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that {task}", file=sys.stderr, flush=True)
            lock.acquire(timeout=max(deadline - time.time(), 0) if math.isfinite(deadline) else -1)
    except Timeout as error:
        raise CryinGANError(f"time is up while another process {task}") from error
    except (OSError, CryinGANError) as error:
        log.info("%s cannot be locked: %s", path, error)
    try:
        yield
    finally:
        lock.release()  # nothing happens if it is not held


def _lock(path: Path) -> FileLock:
    """One object for each path, which counts how often each thread holds it."""
    return FileLock(path, is_singleton=True, fallback_to_soft=False)
