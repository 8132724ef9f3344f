"""Joblib backends: processes that end with their parent, or a Dask cluster."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from typing import Any

from cryingan.errors import CryinGANError

SECONDS_BETWEEN_LOOKS = 1.0  # at the parent


@contextmanager
def _loky(_: str | None) -> Iterator[dict[str, Any]]:
    begin = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
    yield {"backend": "loky", "inner_max_num_threads": 1, **begin}


def end_with_parent(parent: int) -> None:
    """End this process within two seconds of its parent, even when the parent is killed.

    Args:
        parent: process number.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)  # in the middle of a structure, which may take minutes

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _dask(address: str | None) -> Iterator[dict[str, Any]]:
    try:
        from dask.distributed import Client, get_client
    except ImportError as error:
        raise CryinGANError('backend=dask needs Dask: pip install "cryingan[cluster]"') from error
    try:
        connection = Client(address, set_as_default=False) if address else nullcontext(get_client())
    except (ValueError, OSError) as error:
        raise CryinGANError(f"no Dask scheduler at address={address}: {error or 'not reachable'}") from error
    with connection as client:
        yield {"backend": _dask_backend(client)}


def _dask_backend(client: Any) -> Any:
    """Joblib's Dask backend, which reports a task that Dask gives up; joblib 1.6 waits for it forever."""
    from joblib._dask import DaskDistributedBackend

    class ReportingBackend(DaskDistributedBackend):
        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, Exception):
                raise BrokenProcessPool(str(out)) from out
            return super().retrieve_result_callback(out)

    return ReportingBackend(client=client)


CONNECT = {"loky": _loky, "dask": _dask}
