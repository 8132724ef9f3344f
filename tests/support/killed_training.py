"""Trains in a forked child and kills it, again and again; called by test_stops with (run folder, data, kills).

The parent has imported everything and never computes, so a kill costs no start-up. Half of the kills wait for a
checkpoint to be half written, the others fall anywhere from the start to some epochs later.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from cryingan.storage.checkpoint import read_checkpoint
from cryingan.training.checkpoints import newest_checkpoint
from tests.conftest import TINY, compose
from train import train

NEVER = 100_000  # epochs, more than the kills leave time for
MORE = 5  # epochs after the last kill
QUICK = ("callbacks.quality.every_n_epochs=20", "callbacks.structures.every_n_epochs=200")


def child(run_dir, data, epochs=NEVER):
    torch.set_num_threads(1)
    with open(os.devnull, "w") as null:  # noqa: PTH123
        os.dup2(null.fileno(), 1)
    train(
        compose(f"data.path={data}", f"run_dir={run_dir}", "logger=csv", *TINY, *QUICK, f"trainer.max_epochs={epochs}")
    )
    os._exit(0)


def wait_for_a_save(part, patience=20.0):
    """Return as soon as a checkpoint is half written; whether it was."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if part.exists():
            return True
        time.sleep(1e-4)  # a core is left to the training
    return False


def main(run_dir, data, kills):
    random.seed(0)
    checkpoint = Path(run_dir) / "checkpoints/last.ckpt"
    lowest, during_save, killed = 0, 0, 0
    for number in range(kills):
        process = os.fork()
        if process == 0:
            child(run_dir, data)
        if number % 2:
            during_save += wait_for_a_save(checkpoint.with_name("last.ckpt.part"))
        else:
            time.sleep(random.uniform(0.1, 0.7))
        os.kill(process, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(process, 0)[1])
        for path in Path(run_dir).glob("checkpoints/*.ckpt"):
            read_checkpoint(path)
        if newest_checkpoint(checkpoint.parent) is not None:
            epoch = read_checkpoint(checkpoint)["epoch"]
            assert epoch >= lowest, f"went back from epoch {lowest} to {epoch}"
            logged = (Path(run_dir) / "metrics.csv").read_text().count("\n") - 1
            assert logged - (epoch + 1) <= 1, f"{logged} epochs were logged, the checkpoint has {epoch + 1}"
            lowest = epoch
    epochs = lowest + 1 + MORE
    print(f"kills {killed}, during a save {during_save}, epochs {epochs}")
    process = os.fork()
    if process == 0:
        child(run_dir, data, epochs)
    assert os.waitpid(process, 0)[1] == 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
