"""What Lightning and logging add to the bare training step: `python -m benchmarks.overhead`.

Trains as `python train.py experiment=demo` does, with its progress, checkpoints, metrics.csv, validation and W&B
(offline), but without the callbacks that sample. Between two epochs a second copy of the model takes the same steps in
a bare loop: batches, noise, losses, gradients, optimisers. CPU time of the process, medians over epochs.

    python -m benchmarks.overhead [--epochs 12] [KEY=VALUE ...]
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
import time
from typing import Any

from lightning.fabric import Fabric
from lightning.pytorch.callbacks import Callback

from benchmarks import command
from configs.entry import compose
from data.loader import TensorLoader
from train import prepare, use_threads

WITHOUT = ("~callbacks.quality", "~callbacks.structures", "~callbacks.summary", "~callbacks.relax", "~callbacks.best")


class Bare:
    """A copy of a model that takes its steps in a plain loop.

    Args:
        model: the model.
        loader: of its batches.
    """

    def __init__(self, model: Any, loader: TensorLoader) -> None:
        self.model, self.loader = copy.deepcopy(model), copy.copy(loader)
        self.fabric = Fabric(accelerator="cpu", devices=1)
        self.model._trainer = None
        self.model.fabric = self.fabric  # the model keeps a weak reference
        self.optimizers = dict(zip(self.model.networks, self.model.configure_optimizers()[0], strict=True))
        self.critics = {name: self.optimizers[name] for name in self.model.discriminators}

    def epoch(self) -> None:
        """Train for an epoch."""
        model = self.model
        for number, batch in enumerate(self.loader):
            size = len(batch)
            mixes = [model.draw_uniform(size, f"interpolation of {name}", number) for name in model.discriminators]
            model._train_discriminators(self.critics, batch, model.draw_normal(size, "critic noise", number), *mixes)
            if number % model.hparams.generator_interval == 0:
                noise = model.draw_normal(size, "generator noise", number)
                model._train_generator({"generator": self.optimizers["generator"]}, noise)


class Stopwatch(Callback):
    """Times the epochs of a training, and lets the bare loop train for one after each."""

    def __init__(self) -> None:
        self.fitted: list[float] = []
        self.bare: list[float] = []
        self.steps = 0
        self.begun: float | None = None

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """End the last epoch, with all that followed it."""
        now = time.process_time()
        if self.begun is None:
            self.loop = Bare(pl_module, trainer.train_dataloader)
        else:
            self.fitted.append(now - self.begun)
            self.bare.append(_seconds(self.loop.epoch))
        self.steps = trainer.num_training_batches
        self.begun = time.process_time()


def _seconds(action: Any) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def main() -> None:
    """Train, and print."""
    parser = command.new_parser(__doc__)
    parser.add_argument("--epochs", type=command.positive, default=12)
    arguments = command.parse_with_overrides(parser)
    os.environ["WANDB_MODE"], os.environ["WANDB_SILENT"] = "offline", "true"
    with tempfile.TemporaryDirectory() as folder, command.told_in_one_line():
        ours = [f"run_dir={folder}/run", f"trainer.max_epochs={arguments.epochs}", "trainer.max_time=null"]
        config = compose("train", "experiment=demo", *WITHOUT, *ours, *arguments.overrides)
        use_threads(config["threads"])
        run, watch = prepare(config), Stopwatch()
        run.trainer.callbacks.insert(0, watch)
        run.fit()
    fitted, bare = (1000 * statistics.median(times) / watch.steps for times in (watch.fitted, watch.bare))
    added = statistics.median(f / b for f, b in zip(watch.fitted, watch.bare, strict=True)) - 1
    print(f"bare step {bare:.2f} ms, in training {fitted:.2f} ms: Lightning and logging add {added:.1%}")


if __name__ == "__main__":
    main()
