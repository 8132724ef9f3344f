"""Locks keep others out, not their owner, and end with a killed process."""

import multiprocessing
import time
from contextlib import contextmanager

import pytest

from cryingan.errors import CryinGANError
from cryingan.storage.locks import lock_cache, lock_folder
from tests.support.locks import locked_elsewhere


@contextmanager
def locked_by_a_process(folder, lock=lock_folder):
    """Its process; the lock is held until that ends."""
    forked = multiprocessing.get_context("fork")
    begun = forked.Event()

    def hold():
        with lock(folder):
            begun.set()
            time.sleep(60)

    process = forked.Process(target=hold)
    process.start()
    assert begun.wait(10)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def test_another_process_is_refused_until_the_first_is_killed(tmp_path):
    with locked_by_a_process(tmp_path) as process:
        with pytest.raises(CryinGANError, match=f"another process is at work in {tmp_path}; wait") as caught:
            lock_folder(tmp_path).__enter__()
        assert "\n" not in str(caught.value)
        process.kill()
        process.join()
        with lock_folder(tmp_path):
            pass


def test_the_owner_may_lock_again_and_keeps_the_lock(tmp_path):
    with lock_folder(tmp_path):
        with lock_folder(tmp_path):
            pass
        with pytest.raises(CryinGANError, match="another process"), locked_by_a_thread(tmp_path):
            pass
    with locked_by_a_thread(tmp_path):
        pass


@contextmanager
def locked_by_a_thread(folder):
    """Errors of the thread are raised here."""
    from concurrent.futures import ThreadPoolExecutor

    def enter():
        with lock_folder(folder):
            pass

    with ThreadPoolExecutor(1) as threads:
        threads.submit(enter).result()
    yield


@pytest.mark.parametrize("patient", [False, True])
def test_only_the_patient_wait(tmp_path, patient):
    start = time.monotonic()
    with locked_elsewhere(tmp_path, seconds=0.5):
        if patient:
            with lock_folder(tmp_path, patient=True):
                assert time.monotonic() - start > 0.4
        else:
            with pytest.raises(CryinGANError, match="another process"):
                lock_folder(tmp_path).__enter__()
            assert time.monotonic() - start < 0.4


def test_an_error_in_the_block_is_not_one_of_the_lock_and_frees_it(tmp_path):
    with pytest.raises(OSError, match="own"), lock_folder(tmp_path):
        raise OSError("own")
    with locked_by_a_thread(tmp_path):
        pass


def test_a_folder_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CryinGANError, match="file cannot be locked: "):
        lock_folder(tmp_path / "file").__enter__()


def test_a_cache_is_filled_by_one_process_at_a_time(tmp_path, capsys):
    path = tmp_path / "new/cache"
    with locked_by_a_process(path, lambda path: lock_cache(path, "is tested")) as process:
        with pytest.raises(CryinGANError, match="time is up while another process is tested"):
            lock_cache(path, "is tested", time.time() + 0.2).__enter__()
        assert "waiting for another process that is tested" in capsys.readouterr().err
        process.kill()
        with lock_cache(path, "is tested"):
            pass
    assert capsys.readouterr().err.count("waiting") <= 1


def test_a_cache_without_locks_is_used_without(tmp_path):
    (tmp_path / "file").touch()
    entered = False
    with lock_cache(tmp_path / "file/cache", "is tested"):
        entered = True
    assert entered
