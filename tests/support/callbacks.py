"""Callbacks that hurt a run, for the tests."""

import os
import signal
import subprocess
import time

import torch
from lightning.pytorch.callbacks import Callback


class InterruptedRun(Exception):  # noqa: N818
    pass


class StopAt(Callback):
    """Writes a checkpoint after one batch of one epoch and ends the run with an error."""

    def __init__(self, epoch, batch, run_dir):
        self.epoch, self.batch, self.path = epoch, batch, f"{run_dir}/checkpoints/last.ckpt"

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            trainer.save_checkpoint(self.path)
            raise InterruptedRun


class StopAfter(Callback):
    """Ends the run with an error when an epoch begins: the checkpoint of the one before is the last."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch + 1:
            raise InterruptedRun


class Poison(Callback):
    """Makes one weight of a network not finite."""

    def __init__(self, epoch, network, value):
        self.epoch, self.network, self.value = epoch, network, value

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            with torch.no_grad():
                next(module.networks[self.network].parameters()).view(-1)[0] = self.value


class KillWorker(Callback):
    """Kills a process that relaxes samples, once it has something to show of the first evaluation.

    Args:
        of_pool: not the one that reads folders, but one that it has started to share the work.
    """

    killed = None

    def __init__(self, of_pool=False):
        self.of_pool, KillWorker.killed = of_pool, None

    def on_train_epoch_end(self, trainer, module):
        relaxer = next(callback.relaxer for callback in trainer.callbacks if hasattr(callback, "relaxer"))
        if self.killed or not relaxer.waiting:
            return
        rows = next(iter(relaxer.waiting)) / "relax.csv"
        while not (rows.exists() and rows.read_bytes().count(b"\n") > 2):
            time.sleep(0.01)
        pid = pool(relaxer.process.pid)[0] if self.of_pool else relaxer.process.pid
        os.kill(pid, signal.SIGKILL)
        if not self.of_pool:
            relaxer.process.wait()
        KillWorker.killed = pid


def pool(session):
    """Process numbers of joblib's workers in the session that this process has begun."""
    command = ["ps", "-ww", "-o", "pid=,stat=,args=", "-s", str(session)]
    lines = [
        line.split(None, 2) for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    ]
    return [int(pid) for pid, state, called in lines if "popen_loky" in called and not state.startswith("Z")]


class KillWandb(Callback):
    """Kills the process that writes what W&B gets, after the first epoch."""

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == 0:
            command = ["pgrep", "-P", str(os.getpid()), "wandb-core"]
            for pid in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split():
                os.kill(int(pid), signal.SIGKILL)


class LateScores(Callback):
    """Logs a score for every epoch, some epochs later."""

    def __init__(self, scores, delay, key="score"):
        self.scores, self.delay, self.key = scores, delay, key

    def on_train_epoch_end(self, trainer, module):
        epoch = trainer.current_epoch - self.delay
        if epoch >= 0:
            trainer.loggers[0].log_metrics({self.key: self.scores[epoch], "epoch": epoch})


class SendSignal(Callback):
    """Sends this process a signal at the second batch of an epoch."""

    def __init__(self, epoch, number):
        self.epoch, self.number = epoch, number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (self.epoch, 1):
            os.kill(os.getpid(), self.number)


class Slow(Callback):
    """Makes epochs long."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_epoch_start(self, trainer, pl_module):
        time.sleep(self.seconds)


class Broken(Callback):
    """Ends the run with an error that nobody expects."""

    def on_train_epoch_end(self, trainer, module):
        raise RuntimeError("out of luck")
