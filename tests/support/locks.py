import threading
from contextlib import contextmanager

from cryingan.storage.locks import lock_folder


@contextmanager
def locked_elsewhere(folder, seconds=None):
    """Have another thread, which counts as another process does, lock a folder for the block or for some seconds."""
    begun, over = threading.Event(), threading.Event()

    def hold():
        with lock_folder(folder):
            begun.set()
            over.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()
