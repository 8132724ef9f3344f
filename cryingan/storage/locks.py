"""Keep other processes out of a folder."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryingan.errors import CryinGANError

_HELD = threading.local()  # the folders that each thread has locked


@contextmanager
def lock_folder(folder: str | Path, wanted: bool = True) -> Iterator[None]:
    """Keep other processes of this machine out of a folder for the length of a block; a killed process keeps nothing.

    Args:
        folder: the folder; a file `.lock` is made there.
        wanted: False does nothing.

    Raises:
        CryinGANError: another process is at work there, or it cannot be locked.
    """
    if not wanted:
        yield
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context((Path(folder) / ".lock").open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"another process is at work in {folder}; wait for it or choose another folder"
            raise CryinGANError(message) from error
        except OSError as error:
            raise CryinGANError(f"{folder} cannot be locked: {error.strerror or error}") from error
        held = _HELD.__dict__.setdefault("folders", set())
        held.add(place := Path(folder).resolve())
        stack.callback(held.discard, place)
        yield


def holds_lock(folder: str | Path) -> bool:
    """Whether this thread is inside `lock_folder` of a folder."""
    return Path(folder).resolve() in _HELD.__dict__.get("folders", ())


SECONDS_TO_WAIT = 10.0  # for another process in the folder: one that was killed may take a moment to end


SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def locked(folder: Path, wanted: bool = True) -> Iterator[None]:
    """Keep other processes of this machine out of a folder for the length of a block; not `wanted`, do nothing.

    Raises:
        CryinGANError: another process has been at work there for the last 10 s.
    """
    end = time.monotonic() + SECONDS_TO_WAIT
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock_folder(folder, wanted))
                break
            except CryinGANError:
                if time.monotonic() > end:
                    raise
                time.sleep(SECONDS_BETWEEN_LOOKS)
        yield
